//! Lambda that answers health and the API description.

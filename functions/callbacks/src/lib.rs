//! Lambda behind the callbacks, and the recording steps of the workflows.

mod serving;
mod support;

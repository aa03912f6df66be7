mod keeping;
mod serving;
mod stepping;
mod support;

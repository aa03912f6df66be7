//! libFuzzer on the target that `GATEHOUSE_FUZZ` names.

#![no_main]

use std::sync::LazyLock;

use gatehouse_fuzz::{Target, target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = gatehouse_runtime::env::optional("GATEHOUSE_FUZZ").expect("GATEHOUSE_FUZZ names a target");
    target(&name).unwrap_or_else(|| panic!("there is no target `{name}`"))
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| (TARGET.check)(input));

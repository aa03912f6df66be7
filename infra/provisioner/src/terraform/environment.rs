//! What Terraform sees of the worker's environment.

use std::{env, ffi::OsStr};

use tokio::process::Command;

/// Variables that Terraform, its providers and the commands of modules may need.
const ADMITTED: &[&str] = &[
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "NO_PROXY",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TF_CLI_CONFIG_FILE",
    "TF_PLUGIN_CACHE_DIR",
    "TMPDIR",
    "TZ",
    "USER",
    "https_proxy",
    "http_proxy",
    "no_proxy",
];

/// Takes every variable away that is not admitted: the tokens of the callbacks are nothing for modules, and
/// `TF_VAR_…`, `TF_CLI_ARGS`, `TF_LOG` and their like would change what is done or said.
pub(super) fn reduce(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if !admits(&name) {
            command.env_remove(name);
        }
    }
    command.env("CHECKPOINT_DISABLE", "1").env("TF_IN_AUTOMATION", "1").env("TF_INPUT", "0");
}

fn admits(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("AWS_") || ADMITTED.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_ours_and_nothing_that_steers_terraform_is_passed_on() {
        for good in
            ["PATH", "HOME", "AWS_REGION", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "TF_CLI_CONFIG_FILE"]
        {
            assert!(admits(good.as_ref()), "{good}");
        }
        for bad in [
            "GATEHOUSE_CALLBACK_TOKEN",
            "GATEHOUSE_TASK_TOKEN",
            "TF_VAR_x",
            "TF_LOG",
            "TF_CLI_ARGS",
            "TF_WORKSPACE",
        ] {
            assert!(!admits(bad.as_ref()), "{bad}");
        }
    }
}

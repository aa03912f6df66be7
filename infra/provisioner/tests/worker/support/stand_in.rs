//! A stand-in for Terraform: a shell script, for what the worker does by itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::place::Place;

/// Writes down which backend is in force, as `init` does.
const IN_FORCE: &str = r#"path=$(sed -n 's/^ *"path": //p' gatehouse_override.tf.json)
echo "{\"backend\":{\"type\":\"local\",\"config\":{\"path\":$path}}}" > .terraform/terraform.tfstate"#;

/// A script that takes Terraform's commands.
pub struct StandIn {
    init: String,
    plan: String,
    show: String,
    apply: String,
    output: String,
    /// What `plan` ends with, where its script does not end it: as Terraform does, by whether there is something to apply.
    planned: u8,
}

impl StandIn {
    /// One with nothing to change.
    pub fn new() -> Self {
        let show = r#"echo '{"applyable":false}'"#;
        let [init, plan, show, apply, output] = ["", "", show, "", "echo '{}'"].map(str::to_owned);
        Self { init, plan, show, apply, output, planned: 0 }
    }

    pub fn init(mut self, script: &str) -> Self {
        script.clone_into(&mut self.init);
        self
    }

    pub fn plan(mut self, script: &str) -> Self {
        script.clone_into(&mut self.plan);
        self
    }

    /// What `show` prints: a plan that is to be applied.
    pub fn show(self, plan: &serde_json::Value) -> Self {
        let mut plan = plan.clone();
        plan["applyable"] = true.into();
        Self { planned: 2, ..self }.show_whatever(&plan)
    }

    /// What `show` prints, whatever `plan` ended with.
    pub fn show_whatever(mut self, json: &serde_json::Value) -> Self {
        self.show = format!("cat <<'END_OF_JSON'\n{json}\nEND_OF_JSON\n");
        self
    }

    pub fn apply(mut self, script: &str) -> Self {
        script.clone_into(&mut self.apply);
        self
    }

    /// What `output` prints.
    pub fn output(mut self, json: &serde_json::Value) -> Self {
        self.output = format!("cat <<'END_OF_JSON'\n{json}\nEND_OF_JSON\n");
        self
    }

    /// Lets `output` fail, with this complaint, as long as this file is there.
    pub fn output_fails_while(mut self, file: &Path, complaint: &str) -> Self {
        let fails = format!("if [ -e '{}' ]; then echo '{complaint}' >&2; exit 1; fi", file.display());
        self.output = format!("{fails}\n{}", self.output);
        self
    }

    /// Writes it down. Scripts find the place in `$place`, and say what they do in `$place/calls`.
    pub fn install(self, place: &Place) -> PathBuf {
        let Self { init, plan, show, apply, output, planned } = self;
        let script = format!(
            "#!/bin/sh\n\
             place='{}'\n\
             echo \"$@\" >> \"$place/calls\"\n\
             say() {{ echo '{{\"@message\":\"'\"$1\"'\",\"type\":\"log\"}}'; }}\n\
             case \"$1\" in\n\
             init) mkdir -p .terraform\n{IN_FORCE}\n{init}\n;;\n\
             plan) echo 'a plan' > gatehouse.tfplan\n{plan}\nexit {planned}\n;;\n\
             show) :\n{show}\n;;\n\
             apply) :\n{apply}\n;;\n\
             output) :\n{output}\n;;\n\
             esac\n",
            place.path().display()
        );
        let (draft, installed) = (place.path().join("stand-in"), place.path().join("terraform"));
        fs::write(&draft, script).unwrap();
        // By another process: a program cannot be run while this one, or a child that is just being made by
        // another test, has it open for writing.
        let copied = Command::new("cp").arg(&draft).arg(&installed).status().unwrap();
        let allowed = Command::new("chmod").arg("+x").arg(&installed).status().unwrap();
        assert!(copied.success() && allowed.success());
        installed
    }
}

/// The commands that the stand-in was called with.
pub fn calls(place: &Place) -> Vec<String> {
    let calls = fs::read_to_string(place.path().join("calls")).unwrap_or_default();
    calls.lines().map(str::to_owned).collect()
}

/// A shell script that waits until this file is there.
pub fn wait_for(file: &Path) -> String {
    format!("while [ ! -e '{}' ]; do sleep 0.02; done", file.display())
}

/// A script that says so, and ends like Terraform, when it is interrupted.
pub const UNTIL_INTERRUPTED: &str = "trap 'echo interrupted >> \"$place/interrupts\"; say stopping; exit 1' INT\n\
                                     say ready\nwhile :; do sleep 0.02; done";

/// How often the stand-in was interrupted.
pub fn interrupts(place: &Place) -> usize {
    fs::read_to_string(place.path().join("interrupts")).unwrap_or_default().lines().count()
}

//! A module as one file, under the hash of its content: what was applied can be taken away with it, whatever has become of
//! the module since.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Component, Path, PathBuf},
};

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::is_left_over;
use crate::backend::BACKEND_FILE;

/// The files of a module, packed.
pub(crate) struct PackedModule {
    bytes: Vec<u8>,
    digest: String,
}

/// What is in it: files by their paths below the module.
#[derive(Serialize, Deserialize)]
struct Content {
    files: BTreeMap<String, PackedFile>,
}

#[derive(Serialize, Deserialize)]
struct PackedFile {
    /// In base 64.
    content: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    executable: bool,
}

impl PackedModule {
    /// Packs what is in this directory of a workspace, but for what Gatehouse and Terraform have put there. The same files
    /// are the same bytes.
    pub(crate) fn pack(directory: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        collect(directory, Path::new(""), &mut files)?;
        Ok(Self::of(serde_json::to_vec(&Content { files })?))
    }

    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        let digest = HEXLOWER.encode(&Sha256::digest(&bytes));
        Self { bytes, digest }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The SHA-256 of its bytes, in 64 hexadecimal digits.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// Writes the files to a directory that is there.
    pub(crate) fn unpack(&self, directory: &Path) -> io::Result<()> {
        let content: Content = serde_json::from_slice(&self.bytes)?;
        for (name, file) in content.files {
            let path = directory.join(below(&name)?);
            let bytes = BASE64.decode(file.content.as_bytes()).map_err(io::Error::other)?;
            fs::create_dir_all(path.parent().unwrap_or(directory))?;
            let mode = if file.executable { 0o755 } else { 0o644 };
            fs::File::options().write(true).create_new(true).mode(mode).open(path)?.write_all(&bytes)?;
        }
        Ok(())
    }
}

fn collect(root: &Path, below: &Path, files: &mut BTreeMap<String, PackedFile>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = entry.file_name();
        let path = below.join(&name);
        let kind = entry.file_type()?;
        if is_left_over(&name.to_string_lossy()) || path == Path::new(BACKEND_FILE) {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, files)?;
        } else if kind.is_file() {
            let executable = entry.metadata()?.permissions().mode() & 0o100 != 0;
            let content = BASE64.encode(&fs::read(entry.path())?);
            let name = path.into_os_string().into_string();
            let name =
                name.map_err(|name| io::Error::other(format!("the name `{}` is no text", name.display())))?;
            files.insert(name, PackedFile { content, executable });
        }
    }
    Ok(())
}

/// The path, which must lead to somewhere below where it begins.
fn below(name: &str) -> io::Result<PathBuf> {
    let path = PathBuf::from(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if plain && !name.is_empty() { Ok(path) } else { Err(io::Error::other("a packed file leads elsewhere")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_comes_out_as_it_went_in_and_without_what_is_not_its_own() {
        let source = tempfile::tempdir().unwrap();
        let own = ["main.tf", "files/run.sh", ".terraform.lock.hcl"];
        let others =
            [BACKEND_FILE, "gatehouse.auto.tfvars.json", "gatehouse.tfplan", ".terraform/terraform.tfstate"];
        for name in own.iter().chain(&others) {
            let path = source.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let script = source.path().join("files/run.sh");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let packed = PackedModule::pack(source.path()).unwrap();
        assert_eq!(packed.digest(), PackedModule::pack(source.path()).unwrap().digest());

        let target = tempfile::tempdir().unwrap();
        packed.unpack(target.path()).unwrap();
        for name in own {
            assert_eq!(fs::read_to_string(target.path().join(name)).unwrap(), name);
        }
        assert!(others.iter().all(|name| !target.path().join(name).exists()));
        let mode = target.path().join("files/run.sh").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111);
        assert_eq!(PackedModule::pack(target.path()).unwrap().digest(), packed.digest());

        fs::write(source.path().join("main.tf"), "other").unwrap();
        assert_ne!(PackedModule::pack(source.path()).unwrap().digest(), packed.digest());
    }

    #[test]
    fn nothing_is_unpacked_elsewhere() {
        for name in ["../x", "/tmp/x", "a/../../x", ""] {
            let file = PackedFile { content: String::new(), executable: false };
            let content = Content { files: BTreeMap::from([(name.to_owned(), file)]) };
            let packed = PackedModule::of(serde_json::to_vec(&content).unwrap());
            assert!(packed.unpack(tempfile::tempdir().unwrap().path()).is_err(), "{name}");
        }
    }
}

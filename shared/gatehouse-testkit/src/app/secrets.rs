use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use gatehouse_domain::secret::{DeleteSecret, ReadSecret, SecretError, SecretName, WriteSecret};
use secrecy::{ExposeSecret, SecretString};

/// A secret store in memory.
#[derive(Default)]
pub struct MemorySecrets {
    values: Mutex<BTreeMap<String, String>>,
    reads: AtomicUsize,
    refuses_writes: AtomicBool,
}

impl MemorySecrets {
    pub fn put(&self, name: &SecretName, value: &SecretString) {
        self.values().insert(name.as_str().to_owned(), value.expose_secret().to_owned());
    }

    pub fn get(&self, name: &SecretName) -> Option<String> {
        self.values().get(name.as_str()).cloned()
    }

    /// The names of all secrets, in order.
    pub fn names(&self) -> Vec<String> {
        self.values().keys().cloned().collect()
    }

    /// How many reads there were.
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// Lets writes and deletions fail, or succeed again.
    pub fn refuse_writes(&self, refuse: bool) {
        self.refuses_writes.store(refuse, Ordering::SeqCst);
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.values.lock().expect("nobody panicked")
    }

    fn writable(&self) -> Result<(), SecretError> {
        let refused = self.refuses_writes.load(Ordering::SeqCst);
        if refused { Err(SecretError("out of order".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl ReadSecret for MemorySecrets {
    async fn read(&self, name: &SecretName) -> Result<Option<SecretString>, SecretError> {
        self.read_fresh(name).await
    }

    async fn read_fresh(&self, name: &SecretName) -> Result<Option<SecretString>, SecretError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(self.get(name).map(SecretString::from))
    }
}

#[async_trait]
impl WriteSecret for MemorySecrets {
    async fn write(&self, name: &SecretName, value: &SecretString) -> Result<(), SecretError> {
        self.writable()?;
        self.put(name, value);
        Ok(())
    }
}

#[async_trait]
impl DeleteSecret for MemorySecrets {
    async fn delete(&self, name: &SecretName) -> Result<(), SecretError> {
        self.writable()?;
        self.values().remove(name.as_str());
        Ok(())
    }
}

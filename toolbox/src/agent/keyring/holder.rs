//! Who makes an identity's signatures.

use std::sync::Arc;

use super::signer::SealedKey;

/// The private half of an identity, wherever it is. Clones are the same half.
#[derive(Clone)]
pub(crate) enum Holder {
    /// In this process's memory, and as quick as a change of threads.
    Quick(Arc<SealedKey>),
    /// In this process's memory, and slow: rsa.
    Slow(Arc<SealedKey>),
}

impl Holder {
    /// The signature blob over `data`, or `None` where it was refused or failed. Inside a tokio runtime; arithmetic that
    /// takes long is done off the runtime's threads.
    pub(crate) async fn sign(self, data: Vec<u8>, flags: u32) -> Option<Vec<u8>> {
        match self {
            Self::Quick(key) => key.sign(&data, flags),
            Self::Slow(key) => tokio::task::spawn_blocking(move || key.sign(&data, flags)).await.ok()?,
        }
    }

    /// To see in a test whether the private half is gone.
    #[cfg(test)]
    pub(crate) fn downgrade(&self) -> std::sync::Weak<SealedKey> {
        match self {
            Self::Quick(key) | Self::Slow(key) => Arc::downgrade(key),
        }
    }
}

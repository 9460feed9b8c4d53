//! Who makes an identity's signatures.

use std::sync::Arc;

use super::signer::SealedKey;
use crate::agent::helper::{FidoKey, HelperError, Library, TokenKey, TokenProvider, Usage};

/// The private half of an identity, wherever it is. Clones are the same half.
#[derive(Clone)]
pub(crate) enum Holder {
    /// In this process's memory, and as quick as a change of threads.
    Quick(Arc<SealedKey>),
    /// In this process's memory, and slow: rsa.
    Slow(Arc<SealedKey>),
    /// In a FIDO device.
    Fido(Arc<FidoKey>),
    /// In a PKCS#11 token.
    Token(Arc<TokenKey>),
}

impl Holder {
    /// The signature blob over `data`, or `None` where it was refused or failed. `usage` is for keys
    /// in FIDO devices. Inside a tokio runtime; arithmetic that takes long is done off the runtime's threads, and devices keep
    /// only this future waiting.
    pub(crate) async fn sign(self, data: Vec<u8>, flags: u32, usage: &Usage<'_>) -> Option<Vec<u8>> {
        match self {
            Self::Quick(key) => key.sign(&data, flags),
            Self::Slow(key) => tokio::task::spawn_blocking(move || key.sign(&data, flags)).await.ok()?,
            Self::Fido(key) => noted(key.sign(&data, usage).await),
            Self::Token(key) => noted(key.sign(&data, flags).await),
        }
    }

    /// Whether it is in a device, which may take its time.
    pub(crate) fn is_device(&self) -> bool {
        matches!(self, Self::Fido(_) | Self::Token(_))
    }

    /// The library that is loaded for it, with its helper; `None` for what is in no token.
    pub(super) fn token(&self, library: &Library) -> Option<&TokenProvider> {
        match self {
            Self::Token(key) => Some(&**key.provider()).filter(|provider| provider.library() == library),
            Self::Quick(_) | Self::Slow(_) | Self::Fido(_) => None,
        }
    }

    /// To see in a test whether the private half, or the way to it, is gone.
    #[cfg(test)]
    pub(crate) fn downgrade(&self) -> std::sync::Weak<dyn std::any::Any + Send + Sync> {
        match self {
            Self::Quick(key) | Self::Slow(key) => Arc::<SealedKey>::downgrade(key),
            Self::Fido(key) => Arc::<FidoKey>::downgrade(key),
            Self::Token(key) => Arc::<TokenKey>::downgrade(key),
        }
    }
}

/// The client learns no reason; whoever reads the log does.
fn noted(signed: Result<Vec<u8>, HelperError>) -> Option<Vec<u8>> {
    signed.inspect_err(|why| tracing::debug!(%why, "a device did not sign")).ok()
}

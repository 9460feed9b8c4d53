//! Waiting for parts that still arrive in the spool.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use toolbox_wire::{DiffId, ErrorKind};

use super::fault::Fault;
use super::spool::{Kind, Spool};
use super::store;

/// How long nothing of the layers may arrive.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked for what is waited for.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// Of which layers.
pub(super) struct Arrivals<'a> {
    pub(super) spool: &'a Spool,
    pub(super) layers: &'a [DiffId],
    pub(super) patience: Duration,
    /// Whether the deployer is gone: then nothing more is waited for.
    pub(super) is_alone: fn() -> bool,
}

impl Arrivals<'_> {
    /// How far the layer can be read from here; at least one byte. `pause` takes [`LOOK`] at most; where it says true,
    /// that ends the waiting without a result.
    pub(super) fn wait(
        &self,
        (id, size): (DiffId, u64),
        at: u64,
        mut pause: impl FnMut() -> Result<bool, Fault>,
    ) -> Result<Option<u64>, Fault> {
        let mut noted = None;
        let mut last = Instant::now();
        loop {
            let now = self.noted()?;
            if noted != Some(now) {
                (noted, last) = (Some(now), Instant::now());
                let until = store::held(self.spool, id, size)?.until(at);
                if until > at {
                    return Ok(Some(until));
                }
            }
            if last.elapsed() >= self.patience || (self.is_alone)() {
                return Err(self.missing(id, at));
            }
            if pause()? {
                return Ok(None);
            }
        }
    }

    /// Grows with every part of any of the layers.
    fn noted(&self) -> io::Result<u64> {
        let length = |id: &DiffId| match fs::metadata(self.spool.path(*id, Kind::Map)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            metadata => Ok(metadata?.len()),
        };
        self.layers.iter().map(length).sum()
    }

    fn missing(&self, id: DiffId, at: u64) -> Fault {
        let seconds = self.patience.as_secs();
        let text = format!("nothing of layer {id} from byte {at} on has arrived for {seconds} s");
        Fault::new(ErrorKind::Missing, text).of(id)
    }
}

//! Byte streams to a host's engine.

use std::io;
use std::sync::Arc;

use crate::bootstrap::{Access, dial_stdio};
use crate::engine::{Dialer, EngineStream};
use crate::ssh::{Connection, SshError};

/// Streams to the engine through whatever connection `connect` gives.
pub(super) fn dialer<F, C>(access: Access, socket: String, connect: F) -> Dialer
where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = Result<Connection, SshError>> + Send + 'static,
{
    let way = Arc::new((connect, access, socket));
    Arc::new(move || {
        let way = Arc::clone(&way);
        Box::pin(async move {
            let (connect, access, socket) = &*way;
            let connection = connect().await.map_err(io::Error::other)?;
            let stream = match access {
                Access::Socket => connection.streamlocal(socket).await.map_err(io::Error::other)?,
                Access::DialStdio(root) => {
                    dial_stdio(&connection, root.as_ref(), socket).await.map_err(io::Error::other)?
                }
            };
            Ok(Box::new(stream) as Box<dyn EngineStream>)
        })
    })
}

//! Byte streams to a host's engine.

use std::io;
use std::sync::Arc;

use crate::bootstrap::{Access, dial_stdio};
use crate::engine::{Dialer, EngineStream};

use super::line::Line;

/// Streams to the engine over this line.
pub(super) fn dialer(access: Access, socket: String, line: Arc<Line>) -> Dialer {
    let way = Arc::new((line, access, socket));
    Arc::new(move || {
        let way = Arc::clone(&way);
        Box::pin(async move {
            let (line, access, socket) = &*way;
            let connection = line.get().await.map_err(io::Error::other)?;
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

//! Where a payload goes, and how it is waited for.

use crate::error::{Cause, Error, Stage};
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::AsyncWriteExt as _;

/// Octets out of the program: standard output.
pub type Output = Box<dyn AsyncWrite + Send + Unpin>;
/// Octets into the program: standard input.
pub type Input = Box<dyn AsyncRead + Send + Unpin>;

/// Writes all of `octets`; the error says that the reader of the output has gone.
pub async fn write(output: &mut Output, octets: &[u8]) -> Result<(), Error> {
    match output.write_all(octets).await {
        // it is written elsewhere, and only a flush says what happened there
        Err(error) if error.kind() == std::io::ErrorKind::WriteZero => {
            Err(failed(&output.flush().await.err().unwrap_or(error)))
        }
        done => done.map_err(|error| failed(&error)),
    }
}

/// Writes out what the output may still hold.
pub async fn flush(output: &mut Output) -> Result<(), Error> {
    output.flush().await.map_err(|error| failed(&error))
}

fn failed(error: &std::io::Error) -> Error {
    let cause = match error.kind() {
        std::io::ErrorKind::BrokenPipe => Cause::ReaderGone,
        _ => Cause::Output(error.to_string()),
    };
    Error { stage: Stage::Output, target: "stdout".into(), cause }
}

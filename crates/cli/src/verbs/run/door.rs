//! The way out of a network that has none: connections to a port inside go to
//! the sidecar's socket, and nowhere else.

use std::process::ExitCode;

use tokio::net::{TcpListener, UnixStream};
use tokio::process::Command;

use super::ended;
use crate::args::RunDoorArgs;
use crate::error::CliError;

pub(in crate::verbs) fn run(args: &RunDoorArgs) -> Result<ExitCode, CliError> {
    let (program, arguments) =
        args.command.split_first().ok_or_else(super::super::wrap::no_command)?;
    let failed = |what: &str, e: &std::io::Error| {
        CliError::environment("run-door", format!("{what}: {e}"), "run it again")
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| failed("no runtime", &e))?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", args.port))
            .await
            .map_err(|e| failed("cannot listen", &e))?;
        let mut child = Command::new(program)
            .args(arguments)
            .spawn()
            .map_err(|e| failed(&format!("cannot start `{}`", program.display()), &e))?;
        loop {
            tokio::select! {
                status = child.wait() => return Ok(ended(status.map_err(|e| failed("lost", &e))?)),
                accepted = listener.accept() => {
                    let Ok((mut inner, _)) = accepted else { continue };
                    let socket = args.socket.clone();
                    tokio::spawn(async move {
                        let Ok(mut outer) = UnixStream::connect(&socket).await else { return };
                        let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
                    });
                }
            }
        }
    })
}

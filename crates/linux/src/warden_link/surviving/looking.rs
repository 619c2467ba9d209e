//! Who has the tenants of a name, and the end of those that no host has. Both work with wardens of
//! every version. They block.

use super::meeting::{nobody_listens, until_readable};
use crate::threads::clock;
use rustix::process::{Pid, geteuid};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use warden::hello::{Answer, Hello, Welcome, Wish};
use warden::place::Place;
use warden::surviving;

/// How long tenants may take to end in order, before this is given up. They end all the same.
const END_PATIENCE: Duration = Duration::from_secs(120);

/// What came of ending the tenants of a name.
#[derive(Debug, PartialEq, Eq)]
pub enum EndedAll {
    /// They are gone; so many runs there were.
    Ended { runs: u32 },
    /// There were none.
    Nobody,
    /// A host has them.
    InUse { pid: u32 },
}

/// Who has the tenants of a name. `None`: there are none.
pub fn look(directory: &Path, name: &str) -> io::Result<Option<Welcome>> {
    Ok(wish(directory, name, Hello::new(Wish::Look))?.map(|(_, _, welcome)| welcome))
}

/// Ends the tenants of a name in order, unless a host has them, and waits until they are gone.
pub fn end(directory: &Path, name: &str) -> io::Result<EndedAll> {
    let Some((socket, warden, welcome)) = wish(directory, name, Hello::new(Wish::End))? else {
        return Ok(EndedAll::Nobody);
    };
    match welcome.answer {
        Answer::InUse => Ok(EndedAll::InUse { pid: welcome.owner_pid }),
        Answer::Ending => {
            until_readable(&socket, warden, Some(clock::start() + END_PATIENCE))?;
            Ok(EndedAll::Ended { runs: welcome.runs })
        }
        other => Err(io::Error::other(format!("the warden answers {other:?}"))),
    }
}

/// A wish, and its answer; `None`: there is no warden.
fn wish(directory: &Path, name: &str, hello: Hello) -> io::Result<Option<(OwnedFd, Pid, Welcome)>> {
    let socket = match surviving::connect(&Place::of(directory, name).socket) {
        Ok(socket) => socket,
        Err(error) if nobody_listens(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (warden, user) = surviving::peer(&socket)?;
    if user != geteuid() {
        let text = format!("the socket of {name:?} is user {}'s", user.as_raw());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    surviving::send_hello(&socket, &hello)?;
    until_readable(&socket, warden, None)?;
    let welcome = surviving::receive_welcome(&socket, warden)?;
    Ok(welcome.map(|welcome| (socket, warden, welcome)))
}

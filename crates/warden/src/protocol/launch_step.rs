//! The steps at which a launch can fail.

use super::ProtocolError;

/// The step at which a launch failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchStep {
    /// The [`LaunchSpec`](crate::spec::LaunchSpec) could not be read, or its descriptors did not
    /// arrive.
    ReadSpec,
    /// No process could be made for the tenant, or it was lost before the program ran.
    Fork,
    /// The working directory could not be entered.
    ChangeDirectory,
    /// The program could not be executed.
    Execute,
    /// The host has become another user since it started the warden.
    CheckUser,
    /// The directory needs a start script and has none. The reason is written to the tenant's
    /// standard error, as text.
    CheckStartScript,
    /// The tenant's control group could not be made or entered.
    EnterGroup,
    /// A limit could not be set.
    SetLimit,
    /// The private temporary directory could not be made.
    MakeTemporary,
    /// The program could not become its user, or the directory belongs to another one. The reason
    /// may be on the tenant's standard error, as text.
    BecomeUser,
    /// The walls could not be put up. The reason may be on the tenant's standard error, as text.
    PutUpWalls,
}

impl LaunchStep {
    /// Every step.
    pub const ALL: [LaunchStep; 11] = {
        use LaunchStep::*;
        [
            ReadSpec,
            Fork,
            ChangeDirectory,
            Execute,
            CheckUser,
            CheckStartScript,
            EnterGroup,
            SetLimit,
            MakeTemporary,
            BecomeUser,
            PutUpWalls,
        ]
    };

    pub(super) fn to_byte(self) -> u8 {
        match self {
            LaunchStep::ReadSpec => 1,
            LaunchStep::Fork => 2,
            LaunchStep::ChangeDirectory => 3,
            LaunchStep::Execute => 4,
            LaunchStep::CheckUser => 5,
            LaunchStep::CheckStartScript => 6,
            LaunchStep::EnterGroup => 7,
            LaunchStep::SetLimit => 8,
            LaunchStep::MakeTemporary => 9,
            LaunchStep::BecomeUser => 10,
            LaunchStep::PutUpWalls => 11,
        }
    }

    pub(super) fn from_byte(value: u8) -> Result<Self, ProtocolError> {
        let step = LaunchStep::ALL.into_iter().find(|step| step.to_byte() == value);
        step.ok_or(ProtocolError::Unknown { field: "the launch's step", value })
    }
}

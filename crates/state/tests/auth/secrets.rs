//! Neither a password's hash nor a token's digest can be shown: not by a command, not by the whole.

use state::{
    AuthChange, AuthRevision, Command, Entry, Epoch, PasswordHash, Timestamp, TokenDigest,
};

use crate::support::Machine;

const HASH: &str = "$2a$04$SECRETSECRETSECRETSECRE";

#[test]
fn nothing_secret_is_ever_shown() {
    let password = PasswordHash(HASH.into());
    let digest = TokenDigest(*b"SECRETSECRETSECRETSECRETSECRETSE");
    let name = "u".into();
    let add = AuthChange::UserAdd { name, password: password.clone(), no_password: false };
    let mut machine = Machine::guarded();
    machine.change(add.clone());
    let user = "u".into();
    let auth_revision = AuthRevision(machine.auth_revision());
    let issue = AuthChange::TokenIssue { user, digest, auth_revision };
    machine.change(issue.clone());
    let commands = vec![
        Command::Auth(add),
        Command::Auth(AuthChange::UserChangePassword { name: "u".into(), password }),
        Command::Auth(issue).by(machine.identity("root")),
        Command::Auth(AuthChange::TokensEnd { digests: vec![digest] }),
    ];
    let entry = Entry { epoch: Epoch(0), clock: Timestamp(0), commands, origins: Vec::new() };
    let as_numbers = format!("{:?}", &digest.0[..6]);
    let as_numbers = as_numbers.trim_matches(['[', ']']);
    for shown in [format!("{entry:?}"), format!("{entry:#?}"), format!("{:?}", machine.0.auth())] {
        assert!(!shown.contains("SECRET") && !shown.contains(as_numbers), "{shown}");
        assert!(shown.contains("not shown"), "{shown}");
    }
}

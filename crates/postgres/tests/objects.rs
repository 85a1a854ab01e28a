//! Objects in a real database: whole or not at all, and so where their bytes stand in a folder.

#[path = "../../journal/tests/contract/objects.rs"]
mod objects;
#[allow(dead_code)]
mod server;

use std::sync::Arc;

use journal::{Archive, FolderObjects, Objects};
use postgres_journal::Options;

use crate::objects::{an_object_is_whole_or_not_there, one_of_two_that_put_the_same_name_wins};
use crate::server::{address, name, open};

/// Two openers of one log; none, where there is no server.
fn openers() -> Option<[Arc<dyn Objects>; 2]> {
    address()?;
    let options = Options { log: name(), ..Options::default() };
    Some([options.clone(), options].map(|options| {
        let opened: Arc<dyn Objects> = Arc::new(open(options).expect("open"));
        opened
    }))
}

#[test]
fn in_a_database() {
    let Some([one, other]) = openers() else { return };
    an_object_is_whole_or_not_there(&*one, &*other);
    one_of_two_that_put_the_same_name_wins(&*one, &*other);
}

#[test]
fn listed_in_a_database_and_kept_in_a_folder() {
    let Some(openers) = openers() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let [one, other] = openers.map(|list| {
        let place = FolderObjects::open(folder.path(), "cluster").expect("open");
        Archive::elsewhere(list, Arc::new(place), "file:///shared".to_owned())
    });
    an_object_is_whole_or_not_there(&one, &other);
    one_of_two_that_put_the_same_name_wins(&one, &other);
}

//! The service's answers, as the journal tells them apart.

use std::error::Error;
use std::time::Duration;

use azure_data_cosmos::CosmosError;

use crate::failure::{Failure, Kind};

/// What the service calls the reasons beside a status; see "HTTP status codes for Azure Cosmos DB".
mod sub {
    pub(super) const WRITE_FORBIDDEN: u16 = 3;
    pub(super) const OWNER_NOT_FOUND: u16 = 1003;
    pub(super) const ACCOUNT_NOT_FOUND: u16 = 1008;
    pub(super) const PARTITION_FULL: u16 = 1014;
}

/// The pause after a 429 that names none.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether the item is just not there, and not its container.
pub(super) fn is_absent(error: &CosmosError) -> bool {
    let sub = sub_status(error);
    status(error) == 404 && (sub == 0 || sub == 1000)
}

pub(super) fn is_taken(error: &CosmosError) -> bool {
    status(error) == 409
}

pub(super) fn is_changed(error: &CosmosError) -> bool {
    status(error) == 412
}

fn status(error: &CosmosError) -> u16 {
    error.status().status_code().into()
}

fn sub_status(error: &CosmosError) -> u16 {
    error.status().sub_status().map_or(0, |sub| sub.value())
}

/// What went wrong, for the journal. What is not known for certain is [`Kind::Ambiguous`].
pub(super) fn failure(error: &CosmosError) -> Failure {
    let (status, sub) = (status(error), sub_status(error));
    let text = words(error, status, sub);
    let kind = match (status, sub) {
        (429, _) => {
            let after = error
                .response()
                .and_then(|response| response.headers().retry_after_ms.map(Duration::from_millis));
            return Failure { kind: Kind::Throttled, text, after: Some(after.unwrap_or(PAUSE)) };
        }
        (403, sub::WRITE_FORBIDDEN | sub::ACCOUNT_NOT_FOUND) => Kind::Ambiguous,
        (403, sub::PARTITION_FULL) => Kind::Full,
        (401 | 403, _) => Kind::Denied,
        (404, sub::OWNER_NOT_FOUND) => Kind::Missing,
        (400 | 413, _) if error.is_from_wire() => Kind::Rejected,
        _ => Kind::Ambiguous,
    };
    Failure::new(kind, text)
}

/// In few words; the service's own texts are pages long.
fn words(error: &CosmosError, status: u16, sub: u16) -> String {
    let hint = match (status, sub) {
        (401, _) => "; is the key current, and the clock right?",
        (403, sub::WRITE_FORBIDDEN) => "; the write region is being changed",
        (403, sub::PARTITION_FULL) => "; the logical partition holds its 20 GB",
        (403, _) => {
            "; does the account's firewall let this replica in, and does its identity have a data role?"
        }
        (404, sub::OWNER_NOT_FOUND) => "; make it with `meridian cosmos init`",
        (429, _) => "; the container's throughput is spent",
        _ => "",
    };
    let mut said = error.to_string();
    if let Some(source) = error.source() {
        said = format!("{said}: {source}");
    }
    let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = said.chars().take(300).collect();
    format!("Azure Cosmos DB answers {status}/{sub}{hint} ({short})")
}

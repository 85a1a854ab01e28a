//! The account's document, which Microsoft's crate reads and keeps to itself.

use std::time::Duration;

use azure_core::http::{HttpClient, Method, Request, Url, new_http_client};
use tokio::time::timeout;

use super::credentials::{self, Credentials};
use super::line::endpoint;
use crate::account::Account;
use crate::address::Address;
use crate::failure::{Failure, Kind};
use crate::stats::{Purpose, Stats};

/// The version of the service's REST API that the request is written in.
const VERSION: &str = "2018-12-31";

/// Reads accounts.
pub(super) struct Accounts {
    client: std::sync::Arc<dyn HttpClient>,
    endpoint: Url,
    emulator: bool,
    deadline: Duration,
}

impl Accounts {
    pub(super) fn new(address: &Address, deadline: Duration) -> Result<Self, Failure> {
        let (endpoint, emulator) = (endpoint(address)?, address.emulator);
        Ok(Self { client: new_http_client(None), endpoint, emulator, deadline })
    }

    /// The account as it is now.
    pub(super) async fn read(
        &self,
        credentials: &Credentials,
        stats: &Stats,
    ) -> Result<Account, Failure> {
        let date = credentials::date();
        let mut request = Request::new(self.endpoint.clone(), Method::Get);
        request.insert_header("authorization", credentials.authorize(&date).await?);
        request.insert_header("x-ms-date", date);
        request.insert_header("x-ms-version", VERSION);
        let host = self.endpoint.host_str().unwrap_or_default();
        let unreachable = |why: String| {
            Failure::new(Kind::Ambiguous, format!("the account at {host} does not answer: {why}"))
        };
        let asked = async {
            let answer = self.client.execute_request(&request).await?;
            answer.try_into_raw_response().await
        };
        let answer = match timeout(self.deadline, asked).await {
            Ok(answer) => answer.map_err(|why| unreachable(why.to_string()))?,
            Err(_) => return Err(unreachable(format!("not within {:?}", self.deadline))),
        };
        stats.charged(Purpose::Account, 0.0);
        match u16::from(answer.status()) {
            200 => Account::read(answer.body().as_ref(), self.emulator),
            status @ (401 | 403) => Err(Failure::new(
                Kind::Denied,
                format!(
                    "the account at {host} refuses who asks ({status}): is the key or identity \
                     its own, the clock right, and this address let in by its firewall?"
                ),
            )),
            status => Err(unreachable(format!("status {status}"))),
        }
    }
}

//! Deadlines: `grpc-timeout`, after which nobody waits for the answer.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::{Instant, timeout_at};

use super::status::{Code, Status};

/// What a call is told when its time is over.
pub(crate) const EXCEEDED: Status =
    Status::fixed(Code::DeadlineExceeded, "context deadline exceeded");

/// More than this is never (gRPC allows 99,999,999 hours).
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Until when the call may take, as its headers say.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<Instant>, Status> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let duration =
        value.to_str().ok().and_then(parse).ok_or_else(|| {
            Status::new(Code::Internal, format!("malformed grpc-timeout: {value:?}"))
        })?;
    Ok((duration < NEVER).then(|| Instant::now() + duration))
}

/// Gives `work` until `deadline`, then drops it.
pub(crate) async fn bound<T>(
    deadline: Option<Instant>,
    work: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let work = pin!(work);
    match deadline {
        None => work.await,
        Some(deadline) => timeout_at(deadline, work).await.unwrap_or(Err(EXCEEDED)),
    }
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(parse("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parse("100m"), Some(Duration::from_millis(100)));
        assert_eq!(parse("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for wrong in ["", "S", "1", "1s", "123456789S", "-1S", "1.5S", "é"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_dropped_when_time_is_over() {
        let deadline = Some(Instant::now() + Duration::from_millis(5));
        let never = std::future::pending::<Result<(), Status>>();
        assert_eq!(bound(deadline, never).await, Err(EXCEEDED));
        assert_eq!(bound(deadline, async { Ok(1) }).await, Ok(1));
    }
}

//! What is said over a line, as messages and back. What cannot be understood ends the line: whoever sent it
//! is another version, and what it says must not be guessed.

use bytes::Bytes;
use engine::Fault;
use engine::replicas::{Answer, Ask, Hello, News, Order};
use journal::Slot;
use prost::Message;
use state::{Epoch, LeaseId, MemberId, Position};

use crate::grpc::frame;
use crate::wire::peer as pb;
use pb::answer::What as Answered;
use pb::ask::What as Asked;
use pb::fault::Kind;
use pb::follow_request::Says as Request;
use pb::follow_response::Says as Response;

/// What came cannot be understood.
pub(super) fn not_understood(what: &str) -> String {
    format!("{what} that this version does not understand: replicas must be of versions that fit")
}

/// The first message of a line, framed.
pub(super) fn hello(cluster: u64, hello: &Hello) -> Bytes {
    request(Request::Hello(pb::Hello {
        cluster,
        member: hello.member.0,
        session: hello.session,
        epoch: hello.epoch.0,
        applied: hello.applied.0,
    }))
}

/// The cluster that is meant, and who calls.
///
/// # Errors
/// It cannot be understood.
pub fn read_hello(message: Bytes) -> Result<(u64, Hello), String> {
    match pb::FollowRequest::decode(message).map(|request| request.says) {
        Ok(Some(Request::Hello(said))) => {
            let hello = Hello {
                member: MemberId(said.member),
                session: said.session,
                epoch: Epoch(said.epoch),
                applied: Position(said.applied),
            };
            Ok((said.cluster, hello))
        }
        _ => Err(not_understood("a line begins with a message")),
    }
}

/// An order, framed.
pub(super) fn order(order: Order) -> Bytes {
    request(match order {
        Order::Commands { epoch, first, body } => {
            Request::Commands(pb::Commands { epoch: epoch.0, first, body })
        }
        Order::Ask { id, ask } => {
            let what = match ask {
                Ask::Renew(lease) => Asked::Renew(lease.0),
                Ask::Remaining(lease) => Asked::Remaining(lease.0),
                Ask::Leases => Asked::Leases(pb::Nothing {}),
            };
            Request::Ask(pb::Ask { id, what: Some(what) })
        }
        Order::Leaving => Request::Leaving(pb::Nothing {}),
    })
}

/// What a follower asks for.
///
/// # Errors
/// It cannot be understood.
pub fn read_order(message: Bytes) -> Result<Order, String> {
    let says = pb::FollowRequest::decode(message).ok().and_then(|request| request.says);
    match says {
        Some(Request::Commands(pb::Commands { epoch, first, body })) => {
            Ok(Order::Commands { epoch: Epoch(epoch), first, body })
        }
        Some(Request::Ask(pb::Ask { id, what: Some(what) })) => {
            let ask = match what {
                Asked::Renew(lease) => Ask::Renew(LeaseId(lease)),
                Asked::Remaining(lease) => Ask::Remaining(LeaseId(lease)),
                Asked::Leases(_) => Ask::Leases,
            };
            Ok(Order::Ask { id, ask })
        }
        Some(Request::Leaving(_)) => Ok(Order::Leaving),
        _ => Err(not_understood("an order")),
    }
}

fn request(says: Request) -> Bytes {
    frame(&pb::FollowRequest { says: Some(says) })
}

/// The first answer on a line, framed: it is open.
pub(super) fn welcome() -> Bytes {
    response(Response::Welcome(pb::Nothing {}))
}

pub(super) fn is_welcome(message: Bytes) -> bool {
    let says = pb::FollowResponse::decode(message).ok().and_then(|response| response.says);
    matches!(says, Some(Response::Welcome(_)))
}

/// News, framed.
pub(super) fn news(news: News) -> Bytes {
    response(match news {
        News::Entry { slot, body } => Response::Entry(pb::Entry { slot: slot.0, body }),
        News::Refused { first, count, fault } => {
            let fault = Some(pb::Fault { kind: Some(kind(fault)) });
            Response::Refused(pb::Refused { first, count, fault })
        }
        News::Answer { id, answer } => {
            let what = match answer {
                Answer::Seconds(Some(seconds)) => Answered::Seconds(seconds),
                Answer::Seconds(None) => Answered::NoSuchLease(pb::Nothing {}),
                Answer::Leases(leases) => {
                    let ids = leases.into_iter().map(|lease| lease.0).collect();
                    Answered::Leases(pb::Leases { ids })
                }
                Answer::Unknown => Answered::Unknown(pb::Nothing {}),
            };
            Response::Answer(pb::Answer { id, what: Some(what) })
        }
        News::Idle => Response::Idle(pb::Nothing {}),
    })
}

/// What the writer tells.
///
/// # Errors
/// It cannot be understood.
pub fn read_news(message: Bytes) -> Result<News, String> {
    let says = pb::FollowResponse::decode(message).ok().and_then(|response| response.says);
    match says {
        Some(Response::Entry(pb::Entry { slot, body })) => {
            Ok(News::Entry { slot: Slot(slot), body })
        }
        Some(Response::Refused(pb::Refused { first, count, fault })) => {
            Ok(News::Refused { first, count, fault: read_fault(fault) })
        }
        Some(Response::Answer(pb::Answer { id, what: Some(what) })) => {
            let answer = match what {
                Answered::Seconds(seconds) => Answer::Seconds(Some(seconds)),
                Answered::NoSuchLease(_) => Answer::Seconds(None),
                Answered::Leases(leases) => {
                    Answer::Leases(leases.ids.into_iter().map(LeaseId).collect())
                }
                Answered::Unknown(_) => Answer::Unknown,
            };
            Ok(News::Answer { id, answer })
        }
        Some(Response::Idle(_)) => Ok(News::Idle),
        _ => Err(not_understood("news")),
    }
}

fn response(says: Response) -> Bytes {
    frame(&pb::FollowResponse { says: Some(says) })
}

fn kind(fault: Fault) -> Kind {
    match fault {
        Fault::Stopped => Kind::Stopped(pb::Nothing {}),
        Fault::TooManyRequests => Kind::TooManyRequests(pb::Nothing {}),
        Fault::Timeout => Kind::Timeout(pb::Nothing {}),
        Fault::NoSpace => Kind::NoSpace(pb::Nothing {}),
        Fault::HeldBack(why) => Kind::HeldBack(why),
        Fault::Unavailable(why) => Kind::Unavailable(why),
    }
}

/// One that a later version has added is told as what it is to a client in any case.
fn read_fault(fault: Option<pb::Fault>) -> Fault {
    match fault.and_then(|fault| fault.kind) {
        Some(Kind::Stopped(_)) => Fault::Stopped,
        Some(Kind::TooManyRequests(_)) => Fault::TooManyRequests,
        Some(Kind::Timeout(_)) => Fault::Timeout,
        Some(Kind::NoSpace(_)) => Fault::NoSpace,
        Some(Kind::HeldBack(why)) => Fault::HeldBack(why),
        Some(Kind::Unavailable(why)) => Fault::Unavailable(why),
        None => Fault::Unavailable("the writer refused it for a reason unknown here".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::PREFIX;

    fn bare(framed: Bytes) -> Bytes {
        framed.slice(PREFIX..)
    }

    #[test]
    fn a_hello_comes_back() {
        let said = Hello {
            member: MemberId(u64::MAX),
            session: 1 << 63,
            epoch: Epoch(7),
            applied: Position(9),
        };
        assert_eq!(read_hello(bare(hello(0xc1, &said))), Ok((0xc1, said)));
        assert!(read_hello(Bytes::from_static(b"\xff\xff")).is_err());
        assert!(read_hello(bare(news(News::Idle))).is_err(), "the wrong direction");
    }

    #[test]
    fn every_order_comes_back() {
        let body = Bytes::from_static(b"commands");
        for said in [
            Order::Commands { epoch: Epoch(3), first: 0, body: Bytes::new() },
            Order::Commands { epoch: Epoch(u64::MAX), first: u64::MAX, body },
            Order::Ask { id: 0, ask: Ask::Renew(LeaseId(i64::MIN)) },
            Order::Ask { id: 1, ask: Ask::Remaining(LeaseId(-1)) },
            Order::Ask { id: 2, ask: Ask::Leases },
            Order::Leaving,
        ] {
            assert_eq!(read_order(bare(order(said.clone()))), Ok(said));
        }
    }

    #[test]
    fn all_news_comes_back() {
        let fault = |fault| News::Refused { first: 5, count: 2, fault };
        let answer = |answer| News::Answer { id: u64::MAX, answer };
        for said in [
            News::Entry { slot: Slot(1), body: Bytes::from_static(b"entry") },
            News::Entry { slot: Slot(u64::MAX), body: Bytes::new() },
            fault(Fault::Stopped),
            fault(Fault::TooManyRequests),
            fault(Fault::Timeout),
            fault(Fault::NoSpace),
            fault(Fault::HeldBack("who".to_owned())),
            fault(Fault::Unavailable("why".to_owned())),
            answer(Answer::Seconds(Some(0))),
            answer(Answer::Seconds(Some(i64::MIN))),
            answer(Answer::Seconds(None)),
            answer(Answer::Leases(Vec::new())),
            answer(Answer::Leases(vec![LeaseId(1), LeaseId(-1), LeaseId(i64::MAX)])),
            answer(Answer::Unknown),
            News::Idle,
        ] {
            assert_eq!(read_news(bare(news(said.clone()))), Ok(said));
        }
        assert!(is_welcome(bare(welcome())));
        assert!(!is_welcome(bare(news(News::Idle))));
    }

    #[test]
    fn what_a_later_version_adds_ends_the_line() {
        // A field that nobody knows here, and so no message at all.
        let later = Bytes::from_static(&[0xfa, 0x01, 0x00]);
        assert!(read_order(later.clone()).is_err());
        assert!(read_news(later).is_err());
        let empty = pb::FollowRequest { says: Some(Request::Ask(pb::Ask::default())) };
        assert!(read_order(empty.encode_to_vec().into()).is_err());
    }
}

//! How fast appends are, beside a bare INSERT with its commit on a connection of the same kind.
//!
//! `append_speed URL [seconds] [flat ENTRIES]`; with `flat`, appends so many small entries, trims
//! behind, and says every now and then how large the table is and how long an append took.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use journal::{Append, Journal, Nonce, Slot};
use postgres_journal::{Address, Options, PostgresJournal};
use tokio_postgres::NoTls;

type Failed = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().collect();
    let url = arguments.get(1).ok_or("append_speed URL [seconds] [flat ENTRIES]")?;
    let seconds: u64 = arguments.get(2).map_or(Ok(5), |text| text.parse())?;
    if arguments.get(3).is_some_and(|word| word == "flat") {
        let entries = arguments.get(4).map_or(Ok(1_000_000), |text| text.parse())?;
        return flat(url, entries).await;
    }
    let period = Duration::from_secs(seconds);
    for round in 1..=2 {
        println!("round {round}: what, appends/s, p50 ms, p99 ms");
        for bytes in [512, 4096] {
            bare(url, period, bytes).await?;
            for depth in [1, 2, 4, 8] {
                appends(url, period, bytes, depth).await?;
            }
        }
        barriers(url, period).await?;
    }
    Ok(())
}

async fn open(url: &str, pipeline: usize) -> Result<PostgresJournal, Failed> {
    let log = format!("speed-{}", rand::random::<u64>());
    let options = Options { log, pipeline, ..Options::default() };
    Ok(PostgresJournal::open(Address::parse(url)?, options).await?)
}

fn body(bytes: usize) -> Bytes {
    Bytes::from_iter((0..bytes).map(|_| rand::random::<u8>()))
}

fn report(what: &str, mut took: Vec<Duration>, period: Duration) {
    took.sort_unstable();
    let at = |share: usize| {
        took.get(took.len() * share / 100).map_or(0.0, |took| took.as_secs_f64() * 1e3)
    };
    let rate = took.len() as f64 / period.as_secs_f64();
    println!("{what:32} {rate:8.0} {:8.2} {:8.2}", at(50), at(99));
}

/// The least that a write costs there: one row, one index, one commit.
async fn bare(url: &str, period: Duration, bytes: usize) -> Result<(), Failed> {
    let plain = url.split('?').next().unwrap_or(url);
    let (client, connection) = tokio_postgres::connect(plain, NoTls).await?;
    tokio::spawn(connection);
    let make = "DROP TABLE IF EXISTS bare; CREATE TABLE bare (n BIGINT PRIMARY KEY, body BYTEA)";
    client.batch_execute(make).await?;
    let insert = client.prepare("INSERT INTO bare VALUES ($1, $2)").await?;
    let body = body(bytes).to_vec();
    let mut took = Vec::new();
    let began = Instant::now();
    while began.elapsed() < period {
        let sent = Instant::now();
        client.execute(&insert, &[&(took.len() as i64), &body]).await?;
        took.push(sent.elapsed());
    }
    report(&format!("bare insert, {bytes} B"), took, began.elapsed());
    client.batch_execute("DROP TABLE bare").await?;
    Ok(())
}

/// `depth` offers at once, as the engine makes them: slot n+1 while n is on its way.
async fn appends(url: &str, period: Duration, bytes: usize, depth: usize) -> Result<(), Failed> {
    let journal = open(url, depth).await?;
    let body = body(bytes);
    let mut took = Vec::new();
    let mut next = 1;
    let mut flying = FuturesUnordered::new();
    let began = Instant::now();
    while began.elapsed() < period {
        while flying.len() < depth {
            let append = journal.append(Slot(next), Nonce(rand::random()), body.clone());
            let sent = Instant::now();
            flying.push(async move { (append.await, sent.elapsed()) });
            next += 1;
        }
        match flying.next().await {
            Some((Append::Won, elapsed)) => took.push(elapsed),
            outcome => return Err(format!("{outcome:?}").into()),
        }
    }
    report(&format!("append, {bytes} B, {depth} at once"), took, began.elapsed());
    while flying.next().await.is_some() {}
    Ok(())
}

async fn barriers(url: &str, period: Duration) -> Result<(), Failed> {
    let journal = open(url, 1).await?;
    for callers in [1_usize, 64] {
        let began = Instant::now();
        let mut took = Vec::new();
        let mut flying = FuturesUnordered::new();
        while began.elapsed() < period {
            while flying.len() < callers {
                let sent = Instant::now();
                let tail = journal.tail();
                flying.push(async move { (tail.await, sent.elapsed()) });
            }
            if let Some((tail, elapsed)) = flying.next().await {
                tail?;
                took.push(elapsed);
            }
        }
        report(&format!("tail, {callers} callers"), took, began.elapsed());
    }
    Ok(())
}

/// Small entries for a long time, trimmed behind.
async fn flat(url: &str, entries: u64) -> Result<(), Failed> {
    const STEP: u64 = 50_000;
    const KEPT: u64 = 20_000;
    let journal = Arc::new(open(url, 8).await?);
    let plain = url.split('?').next().unwrap_or(url);
    let (client, connection) = tokio_postgres::connect(plain, NoTls).await?;
    tokio::spawn(connection);
    println!("entries, appends/s, p50 ms, p99 ms, table MB, trim s");
    let body = body(256);
    let mut trimming: Option<tokio::task::JoinHandle<Duration>> = None;
    let mut next = 1;
    while next <= entries {
        let mut took = Vec::new();
        let mut flying = FuturesUnordered::new();
        let began = Instant::now();
        for slot in next..next + STEP {
            let append = journal.append(Slot(slot), Nonce(rand::random()), body.clone());
            let sent = Instant::now();
            flying.push(async move { (append.await, sent.elapsed()) });
            if flying.len() < 8 {
                continue;
            }
            match flying.next().await {
                Some((Append::Won, elapsed)) => took.push(elapsed),
                outcome => return Err(format!("{outcome:?}").into()),
            }
        }
        while flying.next().await.is_some() {}
        let period = began.elapsed();
        next += STEP;
        let trimmed = match trimming.take() {
            Some(trim) => trim.await?.as_secs_f64(),
            None => 0.0,
        };
        let size = "SELECT pg_total_relation_size('meridian_journal')";
        let size: i64 = client.query_one(size, &[]).await?.get(0);
        took.sort_unstable();
        let at = |share: usize| took[took.len() * share / 1000].as_secs_f64() * 1e3;
        println!(
            "{:9} {:8.0} {:8.2} {:8.2} {:8.1} {trimmed:6.2}",
            next - 1,
            STEP as f64 / period.as_secs_f64(),
            at(500),
            at(990),
            size as f64 / 1e6
        );
        let (journal, before) = (Arc::clone(&journal), Slot(next.saturating_sub(KEPT)));
        trimming = Some(tokio::spawn(async move {
            let began = Instant::now();
            if let Err(error) = journal.trim(before).await {
                println!("trim: {error}");
            }
            began.elapsed()
        }));
    }
    Ok(())
}

use std::time::Duration;

use bailiwick_core::scope::Scope;
use tokio_util::sync::CancellationToken;

use super::kept::MAX_FEEDS;
use super::*;
use crate::samples::recheck;
use crate::testing::SystemHost;

const EVENTS: usize = 256;
const KEPT_SECONDS: i64 = 120;

fn kept(room: &Arc<Room>) -> (Feeds, Arc<Feed>) {
    let (feeds, feed) = (Feeds::default(), Feed::new(room));
    feeds.keep(&SystemHost::default(), &feed, common());
    (feeds, feed)
}

fn common() -> About {
    About::Common { scope: None, filling: CancellationToken::new(), last: LastId::default() }
}

fn room() -> Arc<Room> {
    Room::new((1 << 20, 1 << 16), EVENTS)
}

/// The next event as `(id, data)`; nothing at the end, or when none is there.
async fn next(reader: &mut Reader) -> Option<(String, String)> {
    let text = tokio::time::timeout(Duration::from_millis(200), reader.next()).await.ok()??;
    let text = String::from_utf8(text).unwrap();
    let line = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_default().to_owned()
    };
    Some((line("id: "), line("data: ")))
}

#[tokio::test]
async fn a_reader_goes_on_after_the_last_event_that_it_names_and_an_earlier_one_ends() {
    let (feeds, feed) = kept(&room());
    let mut first = feed.read(None).unwrap();
    for data in ["a", "b", "c"] {
        assert!(feed.push(data.into()));
    }
    let (id, data) = next(&mut first).await.unwrap();
    assert_eq!(data, "a");
    assert_eq!(next(&mut first).await.unwrap().1, "b");
    // The connection broke before `b` arrived.
    let (found, number) = feeds.find(&id).unwrap();
    let mut second = found.feed.read(Some(number)).unwrap();
    assert_eq!(next(&mut first).await, None);
    assert_eq!(next(&mut second).await.unwrap().1, "b");
    drop(first);
    assert!(feed.answer(b"answer", b"brief", false));
    assert!(!feed.push(b"late".to_vec()));
    assert_eq!(next(&mut second).await.unwrap().1, "c");
    assert_eq!(next(&mut second).await.unwrap().1, "answer");
    assert_eq!(next(&mut second).await, None);
    // A connection without an id gets what no reader took.
    assert_eq!(next(&mut feed.read(None).unwrap()).await, None);
}

#[tokio::test]
async fn an_event_of_another_session_or_one_that_never_was_is_not_found() {
    let room = room();
    let ((mine, feed), (yours, _)) = (kept(&room), kept(&room));
    feed.push(b"a".to_vec());
    let (id, _) = next(&mut feed.read(None).unwrap()).await.unwrap();
    assert!(mine.find(&id).is_some() && yours.find(&id).is_none());
    let (name, _) = id.split_once('.').unwrap();
    assert_eq!(name.len(), 22, "16 random bytes");
    for never in
        ["", ".", ".0", "0", name, &format!("{name}.-1"), &format!("{name}.18446744073709551616")]
    {
        assert!(mine.find(never).is_none(), "{never}");
    }
    // A number that is still to come would be a way to miss what comes first.
    assert!(feed.read(Some(1)).is_none() && feed.read(Some(u64::MAX)).is_none());
    mine.end(Rest::Shown);
    assert!(mine.find(&id).is_none());
}

#[tokio::test]
async fn what_is_kept_is_bounded_in_count_and_bytes_and_what_is_gone_is_not_skipped() {
    let room = room();
    let (_feeds, feed) = kept(&room);
    for n in 0..1000 {
        feed.push(format!("{n}").into_bytes());
    }
    assert_eq!(feed.log().events.len(), EVENTS);
    assert!(feed.read(Some(10)).is_none(), "events after it are gone");
    assert_eq!(next(&mut feed.read(Some(998)).unwrap()).await.unwrap().1, "999");
    // Beyond the bytes of one feed; beyond those of all.
    feed.push(vec![b'x'; 1 << 16]);
    assert_eq!(feed.log().events.len(), 1);
    feed.push(vec![b'x'; 1]);
    assert_eq!(feed.log().events.len(), 1, "nobody reads it: the large one goes");
    let others: Vec<_> = (0..40).map(|_| kept(&room)).collect();
    for (_, other) in &others {
        other.push(vec![b'x'; 1 << 15]);
    }
    assert!(room.used.load(Ordering::Relaxed) <= 1 << 20);
    drop(others);
    assert_eq!(room.used.load(Ordering::Relaxed), 1);
    // Who reads gets also what is too large to be kept.
    let mut reader = feed.read(None).unwrap();
    assert_eq!(next(&mut reader).await.unwrap().1.len(), 1);
    feed.push(vec![b'y'; 1 << 17]);
    assert_eq!(next(&mut reader).await.unwrap().1.len(), 1 << 17);
    assert_eq!(feed.log().bytes, 0);
}

#[tokio::test]
async fn a_flood_of_streams_displaces_only_those_that_are_over() {
    let room = room();
    let (feeds, running) = kept(&room);
    let host = SystemHost::default();
    let call = || {
        let feed = Feed::new(&room);
        feeds.keep(&host, &feed, common());
        feed.push(b"a".to_vec());
        feed
    };
    let all: Vec<_> = (0..MAX_FEEDS * 3)
        .map(|_| {
            let feed = call();
            feed.finish();
            feed
        })
        .collect();
    assert_eq!(feeds.lock().len(), MAX_FEEDS);
    assert!(
        running.log().name.is_some() && feeds.lock().iter().any(|k| Arc::ptr_eq(&k.feed, &running))
    );
    drop(all);
    // With all places taken by streams that go on, one more has no ids.
    let going: Vec<_> = (0..MAX_FEEDS).map(|_| call()).collect();
    let last = going.last().unwrap();
    assert!(last.log().name.is_none());
    assert_eq!(next(&mut last.read(None).unwrap()).await.unwrap(), (String::new(), "a".into()));
}

#[tokio::test]
async fn a_stream_that_nobody_comes_back_for_is_let_go() {
    let (feeds, feed) = kept(&room());
    let ((common, _), other) = (feeds.common(None).unwrap(), Scope::empty());
    assert!(Arc::ptr_eq(&common, &feed));
    let at = Timestamp::from_seconds(1_700_000_000);
    let reader = feed.read(None).unwrap();
    feeds.sweep(at, KEPT_SECONDS);
    feeds.sweep(at.plus_seconds(10 * KEPT_SECONDS), KEPT_SECONDS);
    assert!(feeds.common(None).is_some(), "it has a reader");
    drop(reader);
    feeds.sweep(at, KEPT_SECONDS);
    feeds.sweep(at.plus_seconds(KEPT_SECONDS - 1), KEPT_SECONDS);
    assert!(feeds.common(None).is_some());
    let About::Common { filling, .. } = feeds.lock()[0].about.clone() else { panic!("common") };
    feeds.sweep(at.plus_seconds(KEPT_SECONDS), KEPT_SECONDS);
    assert!(feeds.common(None).is_none() && filling.is_cancelled());
    // Another scope ends it at once.
    let (feeds, _feed) = kept(&room());
    assert!(feeds.common(Some(&other)).is_none() && feeds.common(None).is_none());
}

#[tokio::test]
async fn what_nobody_read_is_not_shown_once_the_authority_is_gone() {
    let (_feeds, feed) = kept(&room());
    feed.prime();
    feed.push(b"secret".to_vec());
    let mut reader = feed.read(None).unwrap();
    assert!(feed.withhold(b"withheld"));
    assert_eq!(next(&mut reader).await.unwrap().1, "withheld");
    assert_eq!(next(&mut reader).await, None);
    assert!(feed.read(Some(0)).is_none());
    // Before anything was said the answer is no stream's.
    assert!(!Feed::new(&room()).withhold(b"withheld"));
}

#[tokio::test]
async fn a_slow_reader_of_one_stream_takes_no_room_from_another() {
    let room = room();
    let ((_slow, slow), (_other, other)) = (kept(&room), kept(&room));
    let mut reader = slow.follow();
    for _ in 0..3 {
        slow.push(vec![b'x'; 1 << 20]);
    }
    assert_eq!(room.used.load(Ordering::Relaxed), 0);
    other.push(b"a".to_vec());
    assert_eq!(next(&mut other.follow()).await.unwrap().1, "a");
    // Once its client is gone, what is left for it must fit.
    assert_eq!(next(&mut reader).await.unwrap().1.len(), 1 << 20);
    drop(reader);
    assert_eq!(slow.log().bytes, 0);
    drop((_slow, slow, _other, other));
    assert_eq!(room.used.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn of_an_answer_that_nobody_took_the_last_word_stays() {
    let large = vec![b'x'; 1 << 17];
    // Who waits for it gets it whole.
    let (_feeds, feed) = kept(&room());
    let mut reader = feed.follow();
    assert!(feed.answer(&large, b"brief", true));
    assert_eq!(next(&mut reader).await.unwrap().1.len(), 1 << 17);
    assert_eq!(next(&mut reader).await, None);
    // Who went away hears that there was one, or gets it if it fits.
    for (said, answer, expected) in
        [(b"a".to_vec(), large.clone(), "brief"), (large, b"answer".to_vec(), "answer")]
    {
        let (_feeds, feed) = kept(&room());
        let mut reader = feed.follow();
        feed.prime();
        next(&mut reader).await.unwrap();
        drop(reader);
        feed.push(said);
        assert!(feed.answer(&answer, b"brief", true));
        for _ in 0..2 {
            let mut back = feed.read(Some(0)).unwrap();
            assert_eq!(next(&mut back).await.unwrap().1, expected);
            assert_eq!(next(&mut back).await, None);
            feed.log().unread = 0;
        }
    }
}

#[tokio::test]
async fn when_the_authority_goes_a_reader_of_a_finished_calls_feed_is_cut_off() {
    let calls = |room: &Arc<Room>| {
        let (feeds, feed) = (Feeds::default(), Feed::new(room));
        feeds.keep(&SystemHost::default(), &feed, About::Call(Box::new(recheck())));
        feed.push(b"first".to_vec());
        feed.push(b"second".to_vec());
        (feeds, feed)
    };
    let room = room();
    // A call under way shows its own end.
    let (feeds, running) = calls(&room);
    let mut reader = running.follow();
    feeds.cut(|_| true);
    assert!(feeds.lock().len() == 1 && running.withhold(b"withheld"));
    assert_eq!(next(&mut reader).await.unwrap().1, "withheld");
    // One that is finished, if what it rests on is gone and only then.
    let (feeds, feed) = calls(&room);
    let mut reader = feed.follow();
    assert!(feed.answer(b"answer", b"brief", true));
    feeds.cut(|_| false);
    let (id, said) = next(&mut reader).await.unwrap();
    assert_eq!(said, "first");
    feeds.cut(|_| true);
    assert_eq!(next(&mut reader).await, None);
    assert!(feeds.find(&id).is_none() && next(&mut feed.follow()).await.is_none());
    // The session's end does the same, unless it is only that: at a stop who
    // reads gets what was said.
    for (rest, expected) in [(Rest::Withheld, 0), (Rest::Shown, 3)] {
        let (feeds, feed) = calls(&room);
        let mut reader = feed.follow();
        assert!(feed.answer(b"answer", b"brief", true));
        feeds.end(rest);
        let mut read = 0;
        while next(&mut reader).await.is_some() {
            read += 1;
        }
        assert_eq!(read, expected, "{rest:?}");
    }
}

//! Memory per entry beyond the bytes stored (key text and value), with three tags, against `quick_cache` alone.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a benchmark")]

use std::sync::Arc;

use unstale_benches::{Blob, Page, acme, blob, counting, empty, fill, page, runtime};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

const SIZES: [usize; 5] = [10_000, 30_000, 100_000, 170_000, 300_000];

fn main() {
    println!(
        "{:<34} {:>9} {:>9} {:>12} {:>8}",
        "bytes per entry beyond those stored", "entries", "unstale", "quick_cache", "more"
    );
    for entries in SIZES {
        report("a value of 2 KB in place", entries, pages(entries), quick_pages(entries));
    }
    for entries in SIZES {
        report("a shared slice of 100 bytes", entries, blobs(entries), quick_blobs(entries));
    }
}

fn report(what: &str, entries: usize, ours: f64, quick: f64) {
    println!("{what:<34} {entries:>9} {ours:>9.1} {quick:>12.1} {:>8.1}", ours - quick);
}

const BLOB_BYTES: usize = 100;

fn slice() -> Arc<[u8]> {
    vec![7; BLOB_BYTES].into()
}

/// Bytes per entry that `fill` adds to `empty`, less `stored`.
fn beyond<C>(entries: usize, stored: usize, empty: C, fill: impl FnOnce(&C)) -> f64 {
    let before = counting::in_use();
    fill(&empty);
    let used = counting::in_use() - before;
    used as f64 / entries as f64 - stored as f64
}

fn text_bytes(entries: usize) -> usize {
    page(&acme(), entries / 2).raw().as_str().len()
}

fn pages(entries: usize) -> f64 {
    let runtime = runtime();
    let cache = runtime.block_on(empty(entries as u64 * 4096));
    beyond(entries, size_of::<Page>() + text_bytes(entries), cache, |cache| {
        for number in 0..entries as u64 {
            runtime.block_on(fill(cache, &acme(), &page(&acme(), number), number, Page::new(number)));
        }
        assert_eq!(cache.size().entries, entries);
    })
}

fn blobs(entries: usize) -> f64 {
    let runtime = runtime();
    let cache = runtime.block_on(empty(entries as u64 * 1024));
    beyond(entries, BLOB_BYTES + text_bytes(entries), cache, |cache| {
        for number in 0..entries as u64 {
            runtime.block_on(fill(cache, &acme(), &blob(&acme(), number), number, Blob(slice())));
        }
        assert_eq!(cache.size().entries, entries);
    })
}

fn quick_pages(entries: usize) -> f64 {
    let cache = quick_cache::sync::Cache::<String, Arc<Page>>::new(2 * entries);
    beyond(entries, size_of::<Page>() + text_bytes(entries), cache, |cache| {
        (0..entries).for_each(|number| {
            let name = page(&acme(), number).raw().as_str().to_owned();
            cache.insert(name, Arc::new(Page::new(number as u64)));
        });
        assert_eq!(cache.len(), entries);
    })
}

fn quick_blobs(entries: usize) -> f64 {
    let cache = quick_cache::sync::Cache::<String, Arc<[u8]>>::new(2 * entries);
    beyond(entries, BLOB_BYTES + text_bytes(entries), cache, |cache| {
        (0..entries).for_each(|number| cache.insert(blob(&acme(), number).raw().as_str().to_owned(), slice()));
        assert_eq!(cache.len(), entries);
    })
}

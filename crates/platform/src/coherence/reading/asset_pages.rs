//! Pages of assets: rows, how many there are, and what their columns mean, each kept for as long as it is right by itself.

use std::{borrow::Borrow, collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use unstale::{Cacheable, Cached, FetchError, Fetched, Key, Loaded, ReadOptions};
use uuid::Uuid;

use super::{Answer, CacheUse, Views};
use crate::{
    coherence::{
        ClientId, catalogue, policies,
        tags::{self, record_rows},
    },
    store::{
        Store, StoreError,
        repositories::{
            assets::{self, AssetQuery, Vocabulary},
            mappings,
        },
    },
    views,
};

impl Views {
    /// A page of assets; with a page size of 0 only how many there are. How many there are and what their columns mean are
    /// kept by themselves: other pages need them too, and they move at other times than rows do.
    pub async fn asset_page(
        &self,
        client: ClientId,
        query: AssetQuery,
        vocabulary: Vocabulary,
        options: &ReadOptions,
    ) -> Answer<views::AssetPage> {
        if query.page_size == 0 {
            return self.asset_count(client, query, vocabulary, options).await;
        }
        let key = asset_key(client, &query);
        let (views, allowed) = (self.clone(), CacheUse::here());
        let load = move |store: Store| {
            // A load runs in a task of its own, which does not know by itself what of the cache may be used.
            let allowed = allowed.and(CacheUse::here());
            allowed.within(async move {
                let (found, total) = views.counted_rows(store, client, &query, vocabulary).await?;
                let mappings = views.applied_mappings(client, found.imports()).await?;
                found.shown(&query, total, &mappings, vocabulary)
            })
        };
        self.fetch(&key, &policies::ASSETS, options, load).await
    }

    async fn asset_count(
        &self,
        client: ClientId,
        query: AssetQuery,
        vocabulary: Vocabulary,
        options: &ReadOptions,
    ) -> Answer<views::AssetPage> {
        let key = asset_key(client, &query);
        let load = move |store: Store| async move { assets::page(store.read(), client, &query, vocabulary).await };
        self.fetch(&key, &policies::ASSETS, options, load).await
    }

    /// The rows of a page, and how many there are on all pages.
    async fn counted_rows(
        &self,
        store: Store,
        client: ClientId,
        query: &AssetQuery,
        vocabulary: Vocabulary,
    ) -> Result<(assets::Found, u64), StoreError> {
        let (found, counted) = if query.import.is_some() {
            (assets::rows_and_total(store.read(), client, query).await?, None)
        } else if query.is_search() {
            // Few rows answer one, and say themselves how many they are.
            let found = assets::rows(store.read(), client, query).await?;
            let counted = match found.total {
                Some(_) => None,
                None => part_of(self.asset_count(client, all_of(query), vocabulary, &ReadOptions::default()).await)?,
            };
            (found, counted)
        } else {
            self.rows_with_count(store.clone(), client, query).await?
        };
        let total = match found.total.or(counted.map(|counted| counted.total)) {
            Some(total) => total,
            None => found.total(store.read(), client, query).await?,
        };
        Ok((found, total))
    }

    /// The rows of a page, and how many there are of its engagement, or of all. That is kept by itself: where it has to be
    /// counted, the rows come with it, in one statement.
    async fn rows_with_count(
        &self,
        store: Store,
        client: ClientId,
        query: &AssetQuery,
    ) -> Result<(assets::Found, Option<Cached<views::AssetPage>>), StoreError> {
        let with_it = Arc::new(Mutex::new(None));
        let (wanted, rows) = (query.clone(), with_it.clone());
        let load = move |store: Store| async move {
            let found = assets::rows_and_total(store.read(), client, &wanted).await?;
            let total = found.total(store.read(), client, &wanted).await?;
            *rows.lock() = Some(found);
            Ok(views::AssetPage { items: Vec::new(), columns: Vec::new(), total, page: 1, page_size: 0 })
        };
        let key = asset_key(client, &all_of(query));
        let counted = part_of(self.fetch(&key, &policies::ASSETS, &ReadOptions::default(), load).await)?;
        let with_it = with_it.lock().take();
        let found = match with_it {
            // Read by the load within, but for this page as well.
            Some(found) => {
                assets::record_matching(client, query);
                found
            }
            None => assets::rows(store.read(), client, query).await?,
        };
        Ok((found, counted))
    }

    /// The mappings of imports (by import its engagement) that rows of `client` are of, as asset lists apply them: those
    /// that are missing with one statement.
    async fn applied_mappings(
        &self,
        client: ClientId,
        imports: BTreeMap<Uuid, Uuid>,
    ) -> Result<Vec<Mappings>, StoreError> {
        let ids: Vec<Uuid> = imports.keys().copied().collect();
        let keys: Vec<_> = ids.iter().map(|import| catalogue::import_mappings(&client.tenant(), *import)).collect();
        let Some(first) = keys.first() else { return Ok(Vec::new()) };
        let policy = self.limited(first, &policies::FIELD_MAPPINGS);
        // Those who review an import have all of its mappings; what was approved of them is known by that.
        let reviews: Vec<_> = ids.iter().map(|import| catalogue::field_mappings(&client.tenant(), *import)).collect();
        let review_policy = self.limited(&reviews[0], &policies::FIELD_MAPPINGS);
        let (store, cache, wanted) = (self.store.clone(), self.cache.clone(), ids.clone());
        let load = move |places: Vec<usize>| {
            let (store, missing) = (store.clone(), places.iter().map(|place| wanted[*place]).collect::<Vec<_>>());
            let engagements = imports.clone();
            // Of one alone: what is recorded counts for all that are loaded together.
            let review = match places[..] {
                [place] => Some((cache.clone(), reviews[place].clone())),
                _ => None,
            };
            async move {
                let review = review.and_then(|(cache, key)| cache.hit(&key, &review_policy, &ReadOptions::default()));
                let found = match review.and_then(Fetched::into_value) {
                    Some(review) => vec![mappings::approved_of(&review)],
                    None => mappings::applied_in(store.read(), &missing).await?,
                };
                // What the view of one import follows from, which is kept under the same key.
                let loaded = found.into_iter().map(|found| {
                    let import = found.import_id;
                    let above = engagements.get(&import).map(|engagement| tags::under_engagement(client, *engagement));
                    let facts = [tags::under_client(client), tags::mappings_of(client, import)];
                    Loaded::value(found).tags(facts.into_iter().chain(above))
                });
                Ok(loaded.collect())
            }
        };
        match self.cache.fetch_many(&keys, &policy, &ReadOptions::default(), load).await {
            Ok(found) => Ok(found.into_iter().filter_map(Fetched::into_value).map(Mappings::Kept).collect()),
            Err(FetchError::Load(error)) => Err(error),
            Err(FetchError::TimedOut | FetchError::Aborted) => {
                record_rows(ids.iter().copied(), |import| tags::mappings_of(client, import), || tags::mappings(client));
                let found = mappings::applied_in(self.store.read(), &ids).await?;
                Ok(found.into_iter().map(Mappings::Own).collect())
            }
        }
    }
}

/// What asks for no row of it, but how many there are.
fn all_of(query: &AssetQuery) -> AssetQuery {
    AssetQuery { page: 1, page_size: 0, ..query.clone() }
}

fn asset_key(client: ClientId, query: &AssetQuery) -> Key<views::AssetPage> {
    let any = |id: Option<Uuid>| id.map_or_else(|| "any".to_owned(), |id| id.to_string());
    let search = query.search.as_deref().unwrap_or_default();
    let AssetQuery { engagement, import, page, page_size, .. } = *query;
    catalogue::asset_page(&client.tenant(), any(engagement), any(import), search, page, page_size)
}

/// A part of a value that is being loaded; none if it did not come in time, which is no failure of the whole.
fn part_of<V: Cacheable>(answer: Answer<V>) -> Result<Option<Cached<V>>, StoreError> {
    match answer {
        Ok(found) => Ok(found.into_value()),
        Err(FetchError::Load(error)) => Err(error),
        Err(FetchError::TimedOut | FetchError::Aborted) => Ok(None),
    }
}

/// The mappings of an import, from the cache or past it.
enum Mappings {
    Kept(Cached<views::ImportMappings>),
    Own(views::ImportMappings),
}

impl Borrow<views::ImportMappings> for Mappings {
    fn borrow(&self) -> &views::ImportMappings {
        match self {
            Self::Kept(kept) => kept,
            Self::Own(own) => own,
        }
    }
}

//! Pages of assets: rows, how many there are, and what their columns mean, each kept for as long as it is right by itself.

use std::{borrow::Borrow, collections::BTreeMap};

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
                let found = assets::rows(store.read(), client, &query).await?;
                let total = match found.total {
                    Some(total) => total,
                    None => views.asset_total(client, &found, &query, vocabulary).await?,
                };
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

    async fn asset_total(
        &self,
        client: ClientId,
        found: &assets::Found,
        query: &AssetQuery,
        vocabulary: Vocabulary,
    ) -> Result<u64, StoreError> {
        if query.import.is_none() {
            let all = AssetQuery { page: 1, page_size: 0, ..query.clone() };
            let counted = self.asset_count(client, all, vocabulary, &ReadOptions::default()).await;
            if let Some(counted) = part_of(counted)? {
                return Ok(counted.total);
            }
        }
        found.count(self.store.read(), client, query).await
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
        let (store, wanted) = (self.store.clone(), ids.clone());
        let load = move |places: Vec<usize>| {
            let (store, missing) = (store.clone(), places.iter().map(|place| wanted[*place]).collect::<Vec<_>>());
            let engagements = imports.clone();
            async move {
                let found = mappings::applied_in(store.read(), &missing).await?;
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

/**
 * Runs in the page, before the page: counts what React renders, notes web vitals, and tells when a page shows its data.
 * It reads what React tells its developer tools, which a production build does too.
 */
(() => {
  const counts = { commits: 0, mounts: 0, rerenders: 0 };
  const observed = [];
  const FRAMES_MAX = 60;
  const vitals = { interactions: [], lcp: null, fcp: null };
  const clients = new WeakSet();

  /** Function, class, forwardRef, memo and simple memo. */
  const COMPONENTS = new Set([0, 1, 11, 14, 15]);
  const PERFORMED_WORK = 1;
  const BEGINNINGS = ['click', 'keydown', 'input', 'change'];
  /** What a step leads to is there by then, or never. */
  const WITHIN_MS = 20_000;

  /** What an observer finds when it mounts: data that may be shown as it is, or nothing of the kind. */
  function watchQueries(client) {
    if (clients.has(client)) return;
    clients.add(client);
    client.getQueryCache().subscribe(({ type, query, observer }) => {
      if (type !== 'observerAdded' || observer.options.enabled === false) return;
      const { data, isInvalidated, dataUpdatedAt } = query.state;
      const age = Date.now() - dataUpdatedAt;
      const { staleTime = 0 } = observer.options;
      const held = data !== undefined && !isInvalidated && age < staleTime;
      observed.push({ key: query.queryKey.slice(2), held });
    });
  }

  function mounted(fiber) {
    if (COMPONENTS.has(fiber.tag)) counts.mounts += 1;
    const client = fiber.memoizedProps?.client;
    if (typeof client?.getQueryCache === 'function') watchQueries(client);
    for (let child = fiber.child; child; child = child.sibling) mounted(child);
  }

  function updated(fiber, before) {
    if (COMPONENTS.has(fiber.tag) && fiber.flags & PERFORMED_WORK) counts.rerenders += 1;
    // Below a fiber that was not worked on nothing was.
    if (fiber.child === before.child) return;
    for (let child = fiber.child; child; child = child.sibling) {
      if (child.alternate) updated(child, child.alternate);
      else mounted(child);
    }
  }

  window.__REACT_DEVTOOLS_GLOBAL_HOOK__ = {
    isDisabled: false,
    supportsFiber: true,
    renderers: new Map(),
    inject: () => 1,
    checkDCE: () => {},
    onScheduleFiberRoot: () => {},
    onCommitFiberUnmount: () => {},
    onPostCommitFiberRoot: () => {},
    onCommitFiberRoot: (_id, { current }) => {
      counts.commits += 1;
      if (current.alternate) updated(current, current.alternate);
      else mounted(current);
    },
  };

  const observe = (type, each, options = {}) =>
    new PerformanceObserver((list) => list.getEntries().forEach(each)).observe({ type, buffered: true, ...options });
  observe('largest-contentful-paint', ({ startTime }) => {
    vitals.lcp = startTime;
  });
  observe('paint', ({ name, startTime }) => {
    if (name === 'first-contentful-paint') vitals.fcp = startTime;
  });
  observe(
    'event',
    ({ interactionId, duration, startTime }) => {
      if (interactionId) vitals.interactions.push({ duration, startTime });
    },
    { durationThreshold: 16 },
  );

  // A page may be there before it is shown.
  const isSeen = (element) => element.checkVisibility();
  const allSeen = (selector) => [...document.querySelectorAll(selector)].filter(isSeen);
  const text = (element) => element?.textContent.trim() ?? null;
  const trigger = () => document.querySelector('[aria-label^="Engagement: "]')?.getAttribute('aria-label').slice(12);

  /** What is on screen of what others may change. */
  function facts() {
    const shown = {};
    const engagement = trigger();
    if (engagement !== undefined && engagement !== 'Choose an engagement') shown['engagement'] = engagement;
    for (const link of allSeen('main a[href^="/flows/"]')) {
      const id = link.getAttribute('href').slice(7);
      if (/^[0-9a-f-]{36}$/.test(id) && link.closest('td, li')) shown[`flow ${id}`] = text(link);
    }
    const detail = /^\/flows\/([0-9a-f-]{36})$/.exec(location.pathname);
    if (detail) shown[`flow ${detail[1]}`] = text(allSeen('main h1')[0]);
    const review = /^\/imports\/([0-9a-f-]{36})\/mappings$/.exec(location.pathname);
    for (const row of review ? allSeen('main tr[data-status]') : []) {
      shown[`mapping ${review[1]} ${text(row.querySelector('.mono'))}`] = row.dataset.status;
    }
    if (location.pathname === '/admin/engagements') {
      const names = allSeen('main tbody tr td:first-child div p:first-child');
      shown['engagement names'] = names.map(text).sort().join('\n');
    }
    if (location.pathname === '/inventory' && !location.search.includes('q=')) {
      const heads = allSeen('main thead th');
      if (heads.length > 0) shown['inventory columns'] = String(heads.length);
    }
    return shown;
  }

  const isBusy = () => allSeen('[aria-busy="true"], main .mantine-Skeleton-root[data-visible]').length > 0;

  /**
   * Resolves when what a step leads to is on screen, with its time since the last click or key that led there (or since the
   * document's start), and with what was shown then. Where a step takes several presses, people point in between.
   */
  function until({ path, heading, selector }, fromStart = false) {
    return new Promise((resolve, reject) => {
      const end = performance.now() + WITHIN_MS;
      let from = fromStart ? 0 : undefined;
      const begin = (event) => {
        from = event.timeStamp;
      };
      for (const type of BEGINNINGS) window.addEventListener(type, begin, { capture: true });
      const look = () => {
        const isThere =
          from !== undefined &&
          (!path || new RegExp(path).test(location.pathname)) &&
          (!heading || allSeen('h1').some((each) => new RegExp(heading).test(each.textContent))) &&
          (!selector || allSeen(selector).length > 0) &&
          !isBusy();
        if (!isThere && performance.now() > end) return reject(new Error(`not shown within ${WITHIN_MS} ms`));
        if (!isThere) return requestAnimationFrame(look);
        const ms = performance.now() - from;
        for (const type of BEGINNINGS) window.removeEventListener(type, begin, { capture: true });
        resolve({ ms, facts: facts() });
      };
      look();
    });
  }

  const takeAll = (list) => list.splice(0);
  window.__gains = {
    until,
    facts,
    isBusy,
    counts: () => ({ ...counts, observed: takeAll(observed), interactions: takeAll(vitals.interactions) }),
    load: async () => {
      // It is told some frames after it is painted, and not any more after a press.
      for (let frame = 0; frame < FRAMES_MAX && vitals.lcp === null; frame += 1) await new Promise(requestAnimationFrame);
      const [navigation] = performance.getEntriesByType('navigation');
      return { ttfb: navigation?.responseStart ?? null, fcp: vitals.fcp, lcp: vitals.lcp };
    },
  };
})();

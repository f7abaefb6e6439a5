import { LocalClock, type Move } from './clock.ts';

/**
 * Which query holds which groups, and which groups have moved since.
 *
 * It is the server's one rule, applied once more at the last tier: a request captures its **base** before it
 * leaves; its answer may be kept only if none of its groups moved after that base. So an event that
 * overtakes the answer it concerns is not lost, although the query's groups were unknown when it arrived.
 *
 * Bounded: at most `clocksMax` group clocks are remembered. Forgetting one raises the **floor**, and a read
 * that began below the floor counts as moved, which costs one more request and never correctness.
 */
export interface GroupRegistryOptions {
  clock?: LocalClock;
  clocksMax?: number;
}

const CLOCKS_MAX_DEFAULT = 4096;

export class GroupRegistry {
  readonly #clock: LocalClock;
  readonly #clocksMax: number;
  readonly #groupsOf = new Map<string, ReadonlySet<string>>();
  readonly #holders = new Map<string, Set<string>>();
  readonly #clocks = new Map<string, Move>();
  #floor: Move = { position: undefined, tick: 0 };

  constructor(options: GroupRegistryOptions = {}) {
    this.#clock = options.clock ?? new LocalClock();
    this.#clocksMax = options.clocksMax ?? CLOCKS_MAX_DEFAULT;
  }

  /** The base of a read that starts now. */
  base(): number {
    return this.#clock.now();
  }

  /** The groups that `query` holds. */
  groupsOf(query: string): ReadonlySet<string> {
    return this.#groupsOf.get(query) ?? new Set();
  }

  /** Notes the groups of the answer `query` now shows; replaces what it held before, or adds to it. */
  hold(query: string, groups: Iterable<string>, add = false): void {
    const held = new Set([...(add ? this.groupsOf(query) : []), ...groups]);
    this.release(query);
    this.#groupsOf.set(query, held);
    for (const group of held) {
      const holders = this.#holders.get(group);
      if (holders) holders.add(query);
      else this.#holders.set(group, new Set([query]));
    }
  }

  release(query: string): void {
    for (const group of this.#groupsOf.get(query) ?? []) {
      const holders = this.#holders.get(group);
      holders?.delete(query);
      if (holders?.size === 0) this.#holders.delete(group);
    }
    this.#groupsOf.delete(query);
  }

  /** Records an invalidation and returns exactly the queries that hold one of its groups. */
  invalidate(groups: Iterable<string>, position: string | undefined): Set<string> {
    const move: Move = { position, tick: this.#clock.next() };
    const affected = new Set<string>();
    for (const group of groups) {
      // Deleting first keeps the map in order of last move, so the oldest clock is the first one.
      this.#clocks.delete(group);
      this.#clocks.set(group, move);
      for (const query of this.#holders.get(group) ?? []) affected.add(query);
    }
    this.#trim();
    return affected;
  }

  /** It cannot be known what moved: everything read before now counts as moved. */
  raiseFloor(position: string | undefined): void {
    this.#floor = { position, tick: this.#clock.next() };
    this.#clocks.clear();
  }

  /** The newest move of any of `groups` after `base`, or undefined if the answer may be kept. */
  movedSince(base: number, groups: Iterable<string>): Move | undefined {
    let newest: Move | undefined = this.#floor.tick > base ? this.#floor : undefined;
    for (const group of groups) {
      const move = this.#clocks.get(group);
      if (move && move.tick > base && move.tick > (newest?.tick ?? 0)) newest = move;
    }
    return newest;
  }

  /** The position the next read of `query` must reach. */
  required(query: string): string | undefined {
    return this.movedSince(0, this.#groupsOf.get(query) ?? [])?.position;
  }

  #trim(): void {
    for (const [group, move] of this.#clocks) {
      if (this.#clocks.size <= this.#clocksMax) return;
      this.#clocks.delete(group);
      if (move.tick > this.#floor.tick) this.#floor = move;
    }
  }
}

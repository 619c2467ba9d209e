// What can go wrong in a fleet. Each fault begins, lasts, and is mended, and says what it was.
import { setTimeout as pause } from 'node:timers/promises';

/**
 * @typedef {import('./bed.mjs').Bed} Bed
 * @typedef {import('../host/rng.mjs').Rng} Rng
 * @typedef {{ weight: number; run: (bed: Bed, rng: Rng, say: (what: string) => void) => Promise<void> }} Fault
 */

/** From a tenth of a lease to more than two. @param {Bed} bed @param {Rng} rng */
const duration = (bed, rng) => Math.round(bed.size.leaseMs * (0.1 + 2.2 * rng.fraction()));

/** @param {Bed} bed @param {Rng} rng */
const aHost = (bed, rng) => rng.pick(bed.hostNames.filter((name) => !bed.busy.has(name)));

/** @param {Bed} bed @param {Rng} rng */
const aMember = (bed, rng) => rng.pick(bed.memberNames.filter((name) => !bed.busy.has(name)));

/** Keeps a machine for one fault. @param {Bed} bed @param {string} name @param {() => Promise<void>} work */
async function alone(bed, name, work) {
  bed.busy.add(name);
  try {
    await work();
  } finally {
    bed.busy.delete(name);
  }
}

/** @param {Bed} bed @param {string} name */
async function restartHost(bed, name) {
  await bed.startHost(name).until(({ kind }) => kind === 'ready');
}

/** @type {Record<string, Fault>} */
export const FAULTS = {
  killHost: {
    weight: 4,
    async run(bed, rng, say) {
      const [name, ms] = [aHost(bed, rng), duration(bed, rng)];
      await alone(bed, name, async () => {
        say(`${name} is killed, and started again after ${ms} ms`);
        const host = /** @type {any} */ (bed.hosts.get(name));
        host.signal('SIGKILL');
        await host.ended;
        await pause(ms);
        await restartHost(bed, name);
      });
    },
  },
  stopHost: {
    weight: 4,
    async run(bed, rng, say) {
      const [name, ms] = [aHost(bed, rng), duration(bed, rng)];
      await alone(bed, name, async () => {
        say(`${name} is stopped for ${ms} ms`);
        bed.hosts.get(name)?.signal('SIGSTOP');
        await pause(ms);
        bed.hosts.get(name)?.signal('SIGCONT');
      });
    },
  },
  cutFromStore: {
    weight: 4,
    async run(bed, rng, say) {
      const [name, ms, ways] = [aHost(bed, rng), duration(bed, rng), rng.below(3)];
      await alone(bed, name, async () => {
        say(`${name} is cut from the store for ${ms} ms (${['both ways', 'there', 'back'][ways]})`);
        for (const member of bed.memberNames) {
          if (ways !== 2) bed.network.cut(name, member);
          if (ways !== 1) bed.network.cut(member, name);
        }
        await pause(ms);
        for (const member of bed.memberNames) {
          bed.network.mend(name, member);
          bed.network.mend(member, name);
        }
      });
    },
  },
  slowToStore: {
    weight: 2,
    async run(bed, rng, say) {
      const [name, ms] = [aHost(bed, rng), duration(bed, rng)];
      await alone(bed, name, async () => {
        say(`what ${name} and the store say to each other is held up for ${ms} ms`);
        const until = performance.now() + ms;
        while (performance.now() < until) {
          for (const member of bed.memberNames) bed.network.cut(name, member);
          // What is sent meanwhile is sent again by TCP: later, and together.
          await pause(50 + rng.below(500));
          for (const member of bed.memberNames) bed.network.mend(name, member);
          await pause(50 + rng.below(200));
        }
      });
    },
  },
  cutFromHost: {
    weight: 2,
    async run(bed, rng, say) {
      const [from, ms] = [aHost(bed, rng), duration(bed, rng)];
      await alone(bed, from, async () => {
        const to = aHost(bed, rng);
        say(`nothing comes from ${from} to ${to} for ${ms} ms`);
        bed.network.cut(from, to);
        await pause(ms);
        bed.network.mend(from, to);
      });
    },
  },
  killMember: {
    weight: 1,
    async run(bed, rng, say) {
      const [name, ms] = [aMember(bed, rng), duration(bed, rng)];
      await alone(bed, name, async () => {
        say(`etcd's ${name} is killed, and started again after ${ms} ms`);
        const member = bed.members.get(name);
        await member?.kill();
        await pause(ms);
        await member?.start();
      });
    },
  },
  stopMember: {
    weight: 1,
    async run(bed, rng, say) {
      const [name, ms] = [aMember(bed, rng), duration(bed, rng)];
      await alone(bed, name, async () => {
        say(`etcd's ${name} is stopped for ${ms} ms`);
        bed.members.get(name)?.pause();
        await pause(ms);
        bed.members.get(name)?.resume();
      });
    },
  },
  storeGone: {
    weight: 1,
    async run(bed, rng, say) {
      const ms = duration(bed, rng);
      if (bed.memberNames.some((name) => bed.busy.has(name))) return;
      say(`all of etcd is stopped for ${ms} ms`);
      for (const name of bed.memberNames) bed.busy.add(name);
      for (const member of bed.members.values()) member.pause();
      await pause(ms);
      for (const member of bed.members.values()) member.resume();
      for (const name of bed.memberNames) bed.busy.delete(name);
    },
  },
  drain: {
    weight: 2,
    async run(bed, rng, say) {
      const name = aHost(bed, rng);
      await alone(bed, name, async () => {
        say(`${name} is drained, closed and started again`);
        const host = /** @type {any} */ (bed.hosts.get(name));
        host.say('drain');
        const drained = await host.until(
          (/** @type {any} */ told) => told.order === 'drain' && told.kind !== 'event',
        );
        if (drained.kind === 'failed') say(`${name} could not drain: ${drained.message}`);
        host.say('close');
        host.process.stdin.end();
        await host.ended;
        await restartHost(bed, name);
      });
    },
  },
};

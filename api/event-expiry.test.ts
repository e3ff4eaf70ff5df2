import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { resources } from '../domain/resources.ts';
import { expireEvents } from './event-expiry.ts';
import { SqliteStore } from './store/sqlite-store.ts';

test('events go an hour after they were last seen, and no sooner', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'longshore-events-'));
  const store = await SqliteStore.open(directory);
  const now = new Date('2026-01-01T12:00:00Z');
  for (const [name, lastTimestamp] of [
    ['old', '2026-01-01T10:59:59Z'],
    ['new', '2026-01-01T11:00:01Z'],
  ] as const) {
    await store.create(resources.events, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace: 'default' },
      involvedObject: { name },
      lastTimestamp,
    });
  }
  await expireEvents(store, now);
  expect(store.entries(resources.events).map(({ name }) => name)).toEqual(['new']);
  await store.close();
  await rm(directory, { recursive: true });
});

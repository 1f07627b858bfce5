/** The edited text: what is unsaved stays, what is typed is undone in one step, and a newer file is not written over. */
import { beforeEach, expect, it, vi } from 'vitest';

import {
  applied,
  base,
  canUndo,
  change,
  discard,
  isDirty,
  nameOf,
  newer,
  read,
  rebase,
  text,
  typed,
  undo,
} from '../../src/configure/store';

let file = {
  text: 'a: 1\n',
  path: '/e.yaml',
  sha256: 'one',
  generation: 1,
  writable: true,
  reason: null,
  last_error: null,
  schema_url: '',
};

beforeEach(async () => {
  file = { ...file, text: 'a: 1\n', sha256: 'one', generation: 1 };
  vi.stubGlobal('fetch', (url: string) =>
    Promise.resolve(
      new Response(
        JSON.stringify(url.endsWith('schema') ? {} : url.endsWith('check') ? { ok: true, problems: [], changes: [], diff: '' } : file),
      ),
    ),
  );
  await read(true);
});

it('begins with what is in use', () => expect([text.value, isDirty.value, canUndo.value]).toEqual(['a: 1\n', false, false]));

it('undoes a stretch of typing as one, and forms step by step', () => {
  change('a: 2\n');
  for (const next of ['a: 23\n', 'a: 234\n']) typed(next);
  change('b: 1\n');
  const seen = [];
  for (; canUndo.value;) {
    undo();
    seen.push(text.value);
  }
  expect(seen).toEqual(['a: 234\n', 'a: 2\n', 'a: 1\n']);
});

it('keeps edits when the file is read again, and shows that it is another one', async () => {
  change('a: 2\n');
  await read();
  expect([text.value, newer.value]).toEqual(['a: 2\n', null]);
  file = { ...file, text: 'a: 9\n', sha256: 'two', generation: 2 };
  await read();
  expect([text.value, newer.value?.text, base.value?.text]).toEqual(['a: 2\n', 'a: 9\n', 'a: 1\n']);
  rebase('a: 2\nc: 9\n');
  expect([text.value, base.value?.sha256, newer.value]).toEqual(['a: 2\nc: 9\n', 'two', null]);
});

it('keeps what is typed while a text is applied, as a change of that', async () => {
  change('a: 2\n');
  const sent = text.value;
  typed('a: 2\nb: 3\n');
  file = { ...file, text: sent, sha256: 'two', generation: 2 };
  // The stream may tell of the new generation before the answer is there.
  await read();
  await applied({ version: 2, generation: 2, changes: [] }, sent);
  expect([text.value, base.value?.text, base.value?.sha256, newer.value]).toEqual(['a: 2\nb: 3\n', 'a: 2\n', 'two', null]);
  expect([isDirty.value, canUndo.value]).toEqual([true, true]);
  discard();
  await applied({ version: 2, generation: 2, changes: [] }, sent);
  expect([text.value, isDirty.value]).toEqual(['a: 2\n', false]);
});

it('follows the file where nothing is edited, and drops edits when asked', async () => {
  file = { ...file, text: 'a: 9\n', sha256: 'two' };
  await read();
  expect(text.value).toBe('a: 9\n');
  change('x: 1\n');
  discard();
  expect([text.value, canUndo.value]).toEqual(['a: 9\n', false]);
});

it('names places as the gateway does', () => expect(nameOf(['pools', 0, 'tiers', 1, 2, 'weight'])).toBe('pools[0].tiers[1][2].weight'));

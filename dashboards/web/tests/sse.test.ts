/** The event stream means the same, however it is cut. */
import { expect, test } from 'vitest';
import { parser } from '../src/sse';

const STREAM = ': hello\n\nevent: tick\ndata: {"a":1}\n\nid: 7\r\nevent: event\r\ndata: one\r\ndata: two\r\n\r\nevent: nothing\n\n';
const WHOLE = [
  { event: 'tick', data: '{"a":1}', id: null },
  { event: 'event', data: 'one\ntwo', id: '7' },
];

test('comments and messages without data give nothing', () => {
  expect(parser()(STREAM)).toEqual(WHOLE);
});

test('any cut gives the same messages', () => {
  for (let cut = 1; cut < STREAM.length; cut += 1) {
    const parse = parser();
    expect([...parse(STREAM.slice(0, cut)), ...parse(STREAM.slice(cut))], `cut at ${cut}`).toEqual(WHOLE);
  }
});

test('a message without an end is let go in the end', () => {
  const parse = parser();
  expect(parse(`data: ${'x'.repeat(1_000_001)}`)).toEqual([]);
  expect(parse('\n\ndata: fresh\n\n')).toEqual([{ event: 'message', data: 'fresh', id: null }]);
});

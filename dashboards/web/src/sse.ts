/** Parses `text/event-stream` as it arrives in pieces. Pure: text in, messages out; what is not yet whole waits for the next piece. */

export interface Message {
  event: string;
  data: string;
  id: string | null;
}

/** More than this without an empty line is no event stream; the piece is dropped rather than kept for ever. */
const PENDING_CHARS_MAX = 1_000_000;

/** Returns a function that takes a piece and gives the messages it completed. Comments (heartbeats) give none. */
export function parser(): (piece: string) => Message[] {
  let pending = '';
  return (piece) => {
    pending = (pending + piece).replace(/\r\n/g, '\n');
    const blocks = pending.split('\n\n');
    pending = blocks.pop() ?? '';
    if (pending.length > PENDING_CHARS_MAX) pending = '';
    return blocks.map(messageOf).filter((message) => message !== null);
  };
}

function messageOf(block: string): Message | null {
  const data: string[] = [];
  let event = 'message';
  let id: string | null = null;
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') data.push(value);
    else if (field === 'event') event = value;
    else if (field === 'id') id = value;
  }
  return data.length > 0 ? { event, data: data.join('\n'), id } : null;
}

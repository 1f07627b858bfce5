/** Bodies to try, and what is asked of one before it is sent. Nothing typed here is stored, not even in this page. */

export interface Example {
  label: string;
  body: (route: string) => unknown;
}

const SYSTEM = `You are the support assistant of Contoso. ${'Answer in short sentences, name the article that you rely on, and say so when you do not know. '.repeat(45)}`;

export const EXAMPLES: readonly Example[] = [
  {
    label: 'A long system prompt, first turn',
    body: (model) => ({
      model,
      messages: [
        { role: 'system', content: SYSTEM },
        { role: 'user', content: 'How do I return a parcel?' },
      ],
      max_tokens: 200,
    }),
  },
  {
    label: 'The same conversation, a later turn',
    body: (model) => ({
      model,
      messages: [
        { role: 'system', content: SYSTEM },
        { role: 'user', content: 'How do I return a parcel?' },
        { role: 'assistant', content: 'Print the label from your orders page.' },
        { role: 'user', content: 'And without a printer?' },
      ],
      max_tokens: 200,
    }),
  },
  { label: 'A short prompt', body: (model) => ({ model, messages: [{ role: 'user', content: 'Say hello.' }], max_tokens: 20 }) },
];

/** Largest body that the gateway explains, in bytes. */
export const BODY_BYTES_MAX = 4 * 1024 * 1024;

/** Why a text cannot be asked about; `null` where it can. */
export function objection(text: string): string | null {
  if (text.trim() === '') return 'Paste a chat completion’s body, or pick an example.';
  if (text.length > BODY_BYTES_MAX) return 'That is longer than the 4 MiB that are explained.';
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    return `That is not JSON: ${error instanceof Error ? error.message : String(error)}`;
  }
  const member = (name: string): unknown => (typeof body === 'object' && body !== null ? Reflect.get(body, name) : undefined);
  if (typeof member('model') !== 'string') return 'The body has no "model": it tells the route.';
  return Array.isArray(member('messages')) || member('input') !== undefined ? null : 'The body has neither "messages" nor "input".';
}

/** Small line drawings, 16 px, in the colour of the text beside them. Decoration only: the text says what they mean. */

const PATHS = {
  overview: 'M2 9h4l2-6 3 11 2-5h1',
  latency: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 5v3l2 2',
  fleet: 'M2 3h12v4H2zM2 9h12v4H2zM4.5 5h.01M4.5 11h.01',
  routing: 'M2 4h3c3 0 3 8 6 8h3M2 12h3c1 0 1.700-.8 2.200-2M9 6c.500-1.200 1-2 2-2h3M12 2l2 2-2 2M12 10l2 2-2 2',
  configure: 'M2 4h7M13 4h1M2 8h1M7 8h7M2 12h6M12 12h2M11 2.500v3M5 6.500v3M10 10.500v3',
  cache: 'M8 6c3.300 0 6-.9 6-2s-2.700-2-6-2-6 .9-6 2 2.700 2 6 2ZM2 4v8c0 1.100 2.700 2 6 2s6-.9 6-2V4M2 8c0 1.100 2.700 2 6 2s6-.9 6-2',
  usage: 'M3 14V9M8 14V2M13 14V6',
  events: 'M3 3h10M3 8h10M3 13h6',
  import: 'M8 2v8M5 7l3 3 3-3M2 13h12',
  sun: 'M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1v1M8 14v1M1 8h1M14 8h1M3 3l.7.7M12.300 12.300l.7.7M13 3l-.7.7M3.700 12.300l-.7.7',
  keyboard: 'M1.500 4h13v8h-13zM4 6.500h.01M6.700 6.500h.01M9.300 6.500h.01M12 6.500h.01M5 9.500h6',
  filter: 'M2 3h12l-4.500 5.500V13l-3-1.500V8.500z',
  close: 'M3.500 3.500l9 9M12.500 3.500l-9 9',
  pause: 'M5.500 3v10M10.500 3v10',
  play: 'M5 3l8 5-8 5z',
  more: 'M3 8h.01M8 8h.01M13 8h.01',
  chevron: 'M6 4l4 4-4 4',
  up: 'M8 13V3M4 7l4-4 4 4',
  down: 'M8 3v10M4 9l4 4 4-4',
  table: 'M2 3h12v10H2zM2 6.500h12M6 3v10',
  download: 'M8 2v8M5 7l3 3 3-3M3 14h10',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

/** A text in which names stand in backticks, as descriptions of the configuration and the gateway's messages have them. */
export function Words({ text }: { text: string }) {
  return <>{text.split('`').map((part, n) => (n % 2 === 1 ? <code key={n}>{part}</code> : part))}</>;
}

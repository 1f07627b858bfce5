/** One figure with its shape over the range and the change against the time before. */
import type { Colour } from '../chart/colours';
import { Spark } from '../chart/spark';
import type { Term } from '../explain';
import { signed } from '../format';
import { Explain } from './explain';

interface TileProps {
  label: string;
  term: Term;
  value: string;
  /** Further figures under the first, each with its name. */
  more?: readonly (readonly [string, string])[];
  change: number | null;
  /** Which way is good; neither for traffic. */
  better: 'up' | 'down' | 'neither';
  /** What the change is against: `the hour before`. */
  before: string;
  spark: readonly (number | null)[];
  colour?: Colour;
  /** The address that shows more. */
  href?: string;
}

/** Changes below this are noise. */
const QUIET = 0.05;

export function changeTone(change: number | null, better: TileProps['better']): 'good' | 'bad' | 'quiet' {
  if (change === null || Math.abs(change) < QUIET || better === 'neither') return 'quiet';
  return change > 0 === (better === 'up') ? 'good' : 'bad';
}

export function Tile({ label, term, value, more = [], change, better, before, spark, colour = 's1', href }: TileProps) {
  return (
    <div class="tile" role="group" aria-label={label}>
      <header class="tile-head">
        <h2>{href === undefined ? label : <a href={href}>{label}</a>}</h2>
        <Explain term={term} />
      </header>
      <p class="tile-value">
        <span>{value}</span>
        {change !== null && (
          <span class={`tile-change tile-${changeTone(change, better)}`} title={`against ${before}`}>
            {signed(change)}
            <span class="hidden"> against {before}</span>
          </span>
        )}
      </p>
      <p class="tile-more">
        {more.map(([name, text]) => (
          <span key={name}>
            {name} <b>{text}</b>
          </span>
        ))}
      </p>
      <Spark values={spark} colour={colour} />
    </div>
  );
}

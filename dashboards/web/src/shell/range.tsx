/** The range picker; while a stretch was picked in a chart it shows that, and the way back to now. */
import { clock, day, utc } from '../format';
import { fixedRange, place, rangeOf, setParams, type RangeName } from '../state/url';
import { Button } from '../ui/basics';
import { Choice } from '../ui/choice';

const WORDS: Record<RangeName, [string, string]> = {
  '15m': ['15m', 'The last 15 minutes'],
  '1h': ['1h', 'The last hour'],
  '6h': ['6h', 'The last 6 hours'],
  '24h': ['24h', 'The last 24 hours'],
  '7d': ['7d', 'The last 7 days'],
  '30d': ['30d', 'The last 30 days'],
  '90d': ['90d', 'The last 90 days'],
  '400d': ['400d', 'The last 400 days'],
};

const words = (ms: number, other_ms: number): string => (day(ms) === day(other_ms) ? clock(ms) : `${day(ms)} ${clock(ms)}`);

export function RangePicker({ ranges, otherwise }: { ranges: readonly RangeName[]; otherwise: RangeName }) {
  const { params } = place.value;
  const fixed = fixedRange(params);
  return (
    <div class="range">
      {fixed && (
        <span class="range-fixed" title={`${utc(fixed.from_ms)} to ${utc(fixed.to_ms)}`}>
          {day(fixed.from_ms)} {clock(fixed.from_ms)} – {words(fixed.to_ms, fixed.from_ms)}
          <Button small kind="ghost" onClick={() => setParams({ from: '', to: '' })}>
            Back to now
          </Button>
        </span>
      )}
      <Choice
        label="Range"
        value={fixed ? null : rangeOf(params, otherwise)}
        options={ranges.map((value) => ({ value, label: WORDS[value][0], title: WORDS[value][1] }))}
        onChange={(range) => setParams({ range, from: '', to: '' })}
      />
    </div>
  );
}

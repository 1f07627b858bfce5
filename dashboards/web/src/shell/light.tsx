/** The live light: live, paused, or reconnecting; a click pauses and goes on. */
import { liveState, type LiveState } from '../live';
import { paused } from '../state/pause';
import { Button } from '../ui/basics';

const WORDS: Record<LiveState, string> = {
  connecting: 'Connecting',
  live: 'Live',
  reconnecting: 'Reconnecting',
  stopped: 'Resting',
};

export function Light() {
  const state = paused.value ? 'paused' : liveState.value;
  const words = state === 'paused' ? 'Paused' : WORDS[state];
  return (
    <Button
      small
      kind="ghost"
      glyph={paused.value ? 'play' : 'pause'}
      title={paused.value ? 'Go on (p)' : 'Hold the picture still (p)'}
      aria-pressed={paused.value}
      onClick={() => (paused.value = !paused.value)}
    >
      <span class={`light light-${state}`} aria-hidden="true" />
      <span role="status">{words}</span>
    </Button>
  );
}

/** A member of a tier: its share by a slider or a number, and its buttons to move it, or take it out. */
import { useState } from 'preact/hooks';
import { percent } from '../format';
import { IconButton, Pill } from '../ui/basics';
import { apply } from './store';
import { setShares } from './tiers';
import type { Member } from './tiers';
import { SHARE_MIN, withShare } from './weights';

interface MemberProps {
  member: Member;
  members: readonly Member[];
  index: number;
  pool: number;
  tier: number;
  isOnly: boolean;
  isLast: boolean;
  onMove: (to: number) => void;
  onRemove: () => void;
  onDrag: (isDragged: boolean) => void;
}

export function MemberRow({ member, members, index, pool, tier, isOnly, isLast, onMove, onRemove, onDrag }: MemberProps) {
  const [draft, setDraft] = useState<number | null>(null);
  const share = draft ?? member.share;
  const commit = (next: number): void => {
    setDraft(null);
    if (!Number.isFinite(next)) return;
    const parts = withShare(
      members.map((other) => other.share),
      index,
      next,
    );
    apply(setShares(pool, tier, members, parts));
  };
  const whole = Math.round(share * 100);
  return (
    <li
      class="member"
      data-member={member.deployment}
      draggable
      onDragStart={(event) => {
        event.dataTransfer?.setData('text/plain', member.deployment);
        onDrag(true);
      }}
      onDragEnd={() => onDrag(false)}
    >
      <span class="member-name">
        <span class="grip" aria-hidden="true">
          ⠿
        </span>
        <span>
          {member.deployment}
          <br />
          {member.region === '' ? <Pill tone="error">not declared in resources</Pill> : <span class="muted small">{member.region}</span>}
        </span>
      </span>
      {members.length > 1 ? (
        <span class="member-share">
          <input
            type="range"
            min={SHARE_MIN * 100}
            max={100 - SHARE_MIN * 100 * (members.length - 1)}
            value={whole}
            aria-label={`Share of ${member.deployment}, per cent`}
            onInput={(event) => setDraft(Number(event.currentTarget.value) / 100)}
            onChange={(event) => commit(Number(event.currentTarget.value) / 100)}
          />
          <input
            type="number"
            min={1}
            max={99}
            value={whole}
            aria-label={`Share of ${member.deployment}, per cent, as a number`}
            onChange={(event) => commit(Number(event.currentTarget.value) / 100)}
          />
          <span class="muted" aria-hidden="true">
            %
          </span>
        </span>
      ) : (
        <span class="muted member-share">{percent(1)}</span>
      )}
      <span class="member-tools">
        <IconButton
          small
          glyph="up"
          data-move="up"
          label={`Move ${member.deployment} a tier up`}
          disabled={tier === 0 && members.length === 1}
          onClick={() => onMove(tier - 1)}
        />
        <IconButton
          small
          glyph="down"
          data-move="down"
          label={`Move ${member.deployment} a tier down`}
          disabled={isLast}
          onClick={() => onMove(tier + 1)}
        />
        <IconButton small glyph="close" label={`Take ${member.deployment} out of the pool`} disabled={isOnly} onClick={onRemove} />
      </span>
    </li>
  );
}

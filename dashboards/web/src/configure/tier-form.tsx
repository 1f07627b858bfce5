/**
 * A pool's tiers: members move by dragging or by buttons, shares by a slider or a number. Each move is an edit of the text at once, and
 * can be undone; the picture is always that of the text.
 */
import { useState } from 'preact/hooks';
import { percent } from '../format';
import { Button, IconButton, Pill } from '../ui/basics';
import { addMember, clearShares, declared, moveMember, moveTier, removeMember, setShares, tiersOf } from './tiers';
import type { Member } from './tiers';
import { change, parsed, text } from './store';
import { SHARE_MIN, withShare } from './weights';

type Edit = (text: string) => string | null;

const apply = (edit: Edit): void => {
  const made = edit(text.peek());
  if (made !== null) change(made);
};

export function TierForm({ pool, name }: { pool: number; name: string }) {
  const values = parsed.value.values ?? undefined;
  const tiers = tiersOf(values, pool);
  const [over, setOver] = useState<number | null>(null);
  const [dragged, setDragged] = useState<readonly [number, number] | null>(null);
  const [said, setSaid] = useState('');
  const move = (tier: number, member: number, to: number): void => {
    const moved = tiers[tier]?.[member];
    if (!moved || to === tier) return;
    apply(moveMember(values, pool, tier, member, to));
    setSaid(`${moved.deployment} moved to ${to >= tiers.length || to < 0 ? 'a tier of its own' : `tier ${to + 1}`}`);
  };
  const drop = (to: number): void => {
    setOver(null);
    setDragged(null);
    if (dragged) move(...dragged, to);
  };
  const dropTarget = (to: number) => ({
    onDragOver: (event: DragEvent) => {
      if (dragged === null) return;
      event.preventDefault();
      setOver(to);
    },
    onDragLeave: () => setOver(null),
    onDrop: (event: DragEvent) => {
      event.preventDefault();
      drop(to);
    },
  });
  return (
    <div class="tier-form">
      <ol>
        {tiers.map((members, tier) => (
          <li key={tier} class={over === tier ? 'tier-edit tier-over' : 'tier-edit'} {...dropTarget(tier)}>
            <header class="row">
              <b>Tier {tier + 1}</b>
              <span class="muted small">
                {tier === 0 ? 'first, while it has room' : 'only where nothing above can be used or has room'}
              </span>
              <span class="tier-tools">
                {members.some(({ own }) => own !== null) && members.length > 1 && (
                  <Button small kind="ghost" onClick={() => apply(clearShares(pool, tier, members))}>
                    Share by capacity
                  </Button>
                )}
                <IconButton
                  small
                  glyph="up"
                  label={`Tier ${tier + 1} of ${name} earlier`}
                  disabled={tier === 0}
                  onClick={() => apply(moveTier(pool, tier, tier - 1))}
                />
                <IconButton
                  small
                  glyph="down"
                  label={`Tier ${tier + 1} of ${name} later`}
                  disabled={tier === tiers.length - 1}
                  onClick={() => apply(moveTier(pool, tier, tier + 1))}
                />
              </span>
            </header>
            <ul>
              {members.map((member, n) => (
                <MemberRow
                  key={member.deployment}
                  member={member}
                  members={members}
                  index={n}
                  pool={pool}
                  tier={tier}
                  isOnly={tiers.length === 1 && members.length === 1}
                  isLast={tier === tiers.length - 1 && members.length === 1}
                  onMove={(to) => move(tier, n, to)}
                  onRemove={() => apply(removeMember(values, pool, tier, n))}
                  onDrag={(isDragged) => setDragged(isDragged ? [tier, n] : null)}
                />
              ))}
            </ul>
          </li>
        ))}
      </ol>
      {dragged && (
        <p class={over === tiers.length ? 'tier-new tier-over' : 'tier-new'} {...dropTarget(tiers.length)}>
          Drop here for a tier of its own
        </p>
      )}
      <Add pool={pool} name={name} tiers={tiers} />
      <p class="hidden" aria-live="polite">
        {said}
      </p>
    </div>
  );
}

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

function MemberRow({ member, members, index, pool, tier, isOnly, isLast, onMove, onRemove, onDrag }: MemberProps) {
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
          label={`Move ${member.deployment} a tier up`}
          disabled={tier === 0 && members.length === 1}
          onClick={() => onMove(tier - 1)}
        />
        <IconButton small glyph="down" label={`Move ${member.deployment} a tier down`} disabled={isLast} onClick={() => onMove(tier + 1)} />
        <IconButton small glyph="close" label={`Take ${member.deployment} out of the pool`} disabled={isOnly} onClick={onRemove} />
      </span>
    </li>
  );
}

function Add({ pool, name, tiers }: { pool: number; name: string; tiers: readonly Member[][] }) {
  const values = parsed.value.values ?? undefined;
  const there = new Set(tiers.flat().map(({ deployment }) => deployment));
  const free = declared(values).filter((deployment) => !there.has(deployment.name));
  if (free.length === 0) return null;
  const id = `add-${pool}`;
  return (
    <div class="row">
      <label for={id} class="muted small">
        Add to tier 1 of {name}
      </label>
      <select
        id={id}
        class="add-member"
        value=""
        onChange={(event) => {
          const chosen = event.currentTarget.value;
          event.currentTarget.value = '';
          if (chosen !== '') apply(addMember(values, pool, 0, chosen));
        }}
      >
        <option value="">a deployment…</option>
        {free.map((deployment) => (
          <option key={deployment.name} value={deployment.name}>
            {deployment.name} ({deployment.region})
          </option>
        ))}
      </select>
    </div>
  );
}

/**
 * A pool's tiers: members move by dragging or by buttons, shares by a slider or a number. Each move is an edit of the text at once, and
 * can be undone; the picture is always that of the text.
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import { Button, IconButton } from '../ui/basics';
import { MemberRow } from './tier-member';
import { addMember, clearShares, declared, moveMember, moveTier, removeMember, tiersOf } from './tiers';
import type { Member } from './tiers';
import { apply, parsed } from './store';

export function TierForm({ pool, name }: { pool: number; name: string }) {
  const values = parsed.value.values ?? undefined;
  const tiers = tiersOf(values, pool);
  const [over, setOver] = useState<number | null>(null);
  const [dragged, setDragged] = useState<readonly [number, number] | null>(null);
  const [said, setSaid] = useState('');
  const form = useRef<HTMLDivElement>(null);
  const moved = useRef<{ deployment: string; isUp: boolean } | null>(null);
  // A member that changes its tier is drawn anew: the focus goes along, so that it can be moved on by the same key.
  useEffect(() => {
    if (moved.current === null || !form.current) return;
    const { deployment, isUp } = moved.current;
    moved.current = null;
    const row = form.current.querySelector(`[data-member="${CSS.escape(deployment)}"]`);
    const button =
      row?.querySelector<HTMLElement>(`[data-move="${isUp ? 'up' : 'down'}"]:enabled`) ?? row?.querySelector<HTMLElement>('button:enabled');
    button?.focus();
  });
  const move = (tier: number, member: number, to: number): void => {
    const chosen = tiers[tier]?.[member];
    if (!chosen || to === tier) return;
    moved.current = { deployment: chosen.deployment, isUp: to < tier };
    apply(moveMember(values, pool, tier, member, to));
    setSaid(`${chosen.deployment} moved to ${to >= tiers.length || to < 0 ? 'a tier of its own' : `tier ${to + 1}`}`);
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
    <div ref={form} class="tier-form">
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

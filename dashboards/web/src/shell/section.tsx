/** Reads a section's chunk and draws it. A chunk that cannot be had (the gateway was updated meanwhile) says so and is asked for again. */
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Section } from '../pages';
import { Failed, Skeleton } from '../ui/async';

export function SectionView({ section }: { section: Section }) {
  const [page, setPage] = useState<{ view: ComponentType } | null>(null);
  const [failed, setFailed] = useState(false);
  const [round, setRound] = useState(0);
  useEffect(() => {
    let wanted = true;
    setFailed(false);
    section.load().then(
      (module) => wanted && setPage({ view: module.default }),
      () => wanted && setFailed(true),
    );
    return () => {
      wanted = false;
    };
  }, [section, round]);
  if (failed) {
    return (
      <Failed
        error={new Error('this part of the page could not be read; reload the page if the gateway was updated')}
        retry={() => setRound((value) => value + 1)}
      />
    );
  }
  return page === null ? <Skeleton rows={60} /> : <page.view />;
}

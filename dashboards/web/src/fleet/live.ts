/**
 * Lays what the live stream tells every two seconds over what was read of the fleet, where it came later. Both times are this
 * machine's: the gateway's clock may be another one. Pure.
 */
import type { FleetDeployment, Tick } from '../types/state';

export function withTick(
  deployments: readonly FleetDeployment[],
  tick: Tick | null,
  came_at_ms: number,
  read_at_ms: number,
): FleetDeployment[] {
  if (tick === null || came_at_ms < read_at_ms) return [...deployments];
  const told = new Map(tick.deployments.map((deployment) => [deployment.name, deployment]));
  return deployments.map((deployment) => {
    const now = told.get(deployment.name);
    if (!now) return deployment;
    const { breaker, in_flight, limit_used, drained, absent, cooling_until_ms } = now;
    return { ...deployment, breaker, in_flight, limit_used, drained, absent, cooling_until_ms };
  });
}

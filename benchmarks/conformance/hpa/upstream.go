// Part of run.py: compiled beside the sources of k8s.io/kubernetes/pkg/controller/podautoscaler, which are copied from the
// module cache at run time. It feeds one case to the real replica calculator and the real normalisation; only the
// metrics, the pods and the clock's offsets are given.
package podautoscaler

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	metricsclient "k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
)

type casePod struct {
	Name       string
	Phase      string
	Deleting   bool
	Ready      string // "", True, False
	ChangedAgo float64
	StartedAgo *float64
	Request    *int64
}
type caseSample struct {
	Milli  int64
	Ago    float64
	Window float64
}
type caseMetric struct {
	Kind     string
	Target   int64
	Resource string
	Samples  map[string]caseSample
	Usage    []int64
}
type caseEntry struct {
	Ago float64
	N   int32
}
type scalingCase struct {
	Spec, Status, Min, Max int32
	Pods                   []casePod
	Metrics                []caseMetric
	Behavior               *autoscalingv2.HorizontalPodAutoscalerBehavior
	Recs, Up, Down         []caseEntry
	UpTol, DownTol         float64
}
type scalingAnswer struct {
	Proposals   []*int32
	Size        int32
	AbleReason  string
	LimitReason string
	Limited     string
	Recs        []int32
	UpN, DownN  []int32
}

type lister struct{ pods []*v1.Pod }

func (l lister) List(labels.Selector) ([]*v1.Pod, error)    { return l.pods, nil }
func (l lister) Pods(string) corelisters.PodNamespaceLister { return l }
func (l lister) Get(string) (*v1.Pod, error)                { return nil, errors.New("no") }

type client struct {
	m   caseMetric
	now time.Time
}

func (c client) info() metricsclient.PodMetricsInfo {
	r := metricsclient.PodMetricsInfo{}
	for k, s := range c.m.Samples {
		r[k] = metricsclient.PodMetric{Timestamp: c.now.Add(-d(s.Ago)), Window: d(s.Window), Value: s.Milli}
	}
	return r
}
func (c client) GetResourceMetric(ctx context.Context, r v1.ResourceName, ns string, s labels.Selector, ct string) (metricsclient.PodMetricsInfo, time.Time, error) {
	if len(c.m.Samples) == 0 {
		return nil, c.now, errors.New("no metrics returned from resource metrics API")
	}
	return c.info(), c.now, nil
}
func (c client) GetRawMetric(name, ns string, s, ms labels.Selector) (metricsclient.PodMetricsInfo, time.Time, error) {
	if len(c.m.Samples) == 0 {
		return nil, c.now, errors.New("no metrics returned from custom metrics API")
	}
	return c.info(), c.now, nil
}
func (c client) GetObjectMetric(name, ns string, o *autoscalingv2.CrossVersionObjectReference, ms labels.Selector) (int64, time.Time, error) {
	return c.m.Usage[0], c.now, nil
}
func (c client) GetExternalMetric(name, ns string, s labels.Selector) ([]int64, time.Time, error) {
	return c.m.Usage, c.now, nil
}
func d(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func pods(c scalingCase, now time.Time) []*v1.Pod {
	r := []*v1.Pod{}
	for _, f := range c.Pods {
		p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: f.Name, Namespace: "n"}}
		p.Status.Phase = v1.PodPhase(f.Phase)
		if f.Deleting {
			t := metav1.NewTime(now)
			p.DeletionTimestamp = &t
		}
		if f.Ready != "" {
			p.Status.Conditions = []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionStatus(f.Ready), LastTransitionTime: metav1.NewTime(now.Add(-d(f.ChangedAgo)))}}
		}
		if f.StartedAgo != nil {
			t := metav1.NewTime(now.Add(-d(*f.StartedAgo)))
			p.Status.StartTime = &t
		}
		ct := v1.Container{Name: "c", Resources: v1.ResourceRequirements{Requests: v1.ResourceList{}}}
		if f.Request != nil {
			ct.Resources.Requests["cpu"] = *resource.NewMilliQuantity(*f.Request, resource.DecimalSI)
			ct.Resources.Requests["memory"] = *resource.NewMilliQuantity(*f.Request, resource.DecimalSI)
		}
		p.Spec.Containers = []v1.Container{ct}
		r = append(r, p)
	}
	return r
}

// Answer returns what kube-controller-manager makes of one case.
func Answer(raw []byte) []byte {
	var c scalingCase
	if err := json.Unmarshal(raw, &c); err != nil {
		panic(err)
	}
	now := time.Now()
	ctx := context.Background()
	out := scalingAnswer{}
	tol := Tolerances{scaleDown: c.DownTol, scaleUp: c.UpTol}
	if c.Behavior != nil {
		if t := c.Behavior.ScaleDown.Tolerance; t != nil {
			tol.scaleDown = t.AsApproximateFloat64()
		}
		if t := c.Behavior.ScaleUp.Tolerance; t != nil {
			tol.scaleUp = t.AsApproximateFloat64()
		}
	}
	replicas := int32(0)
	invalid := 0
	for _, m := range c.Metrics {
		calc := NewReplicaCalculator(client{m, now}, lister{pods(c, now)}, 300*time.Second, 30*time.Second)
		var n int32
		var err error
		switch m.Kind {
		case "Utilization":
			n, _, _, _, err = calc.GetResourceReplicas(ctx, c.Spec, int32(m.Target), v1.ResourceName(m.Resource), tol, "n", labels.Everything(), "")
		case "RawResource":
			n, _, _, err = calc.GetRawResourceReplicas(ctx, c.Spec, m.Target, v1.ResourceName(m.Resource), tol, "n", labels.Everything(), "")
		case "Pods":
			n, _, _, err = calc.GetMetricReplicas(c.Spec, m.Target, "m", tol, "n", labels.Everything(), labels.Everything())
		case "Value":
			n, _, _, err = calc.GetExternalMetricReplicas(c.Spec, m.Target, "m", tol, "n", &metav1.LabelSelector{}, labels.Everything())
		case "AverageValue":
			n, _, _, err = calc.GetExternalPerPodMetricReplicas(c.Status, m.Target, "m", tol, "n", &metav1.LabelSelector{})
		case "ObjectAverage":
			n, _, _, err = calc.GetObjectPerPodMetricReplicas(c.Status, m.Target, "m", tol, "n", &autoscalingv2.CrossVersionObjectReference{}, labels.Everything())
		}
		if err != nil {
			invalid++
			out.Proposals = append(out.Proposals, nil)
			continue
		}
		proposal := n
		out.Proposals = append(out.Proposals, &proposal)
		if replicas == 0 || n > replicas {
			replicas = n
		}
	}
	a := &HorizontalController{downscaleStabilisationWindow: 300 * time.Second,
		recommendations: map[string][]timestampedRecommendation{}, scaleUpEvents: map[string][]timestampedScaleEvent{}, scaleDownEvents: map[string][]timestampedScaleEvent{}}
	for _, e := range c.Recs {
		a.recommendations["k"] = append(a.recommendations["k"], timestampedRecommendation{e.N, now.Add(-d(e.Ago))})
	}
	for _, e := range c.Up {
		a.scaleUpEvents["k"] = append(a.scaleUpEvents["k"], timestampedScaleEvent{e.N, now.Add(-d(e.Ago)), false})
	}
	for _, e := range c.Down {
		a.scaleDownEvents["k"] = append(a.scaleDownEvents["k"], timestampedScaleEvent{e.N, now.Add(-d(e.Ago)), false})
	}
	a.recordInitialRecommendation(c.Spec, "k")
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	hpa.Spec.MaxReplicas = c.Max
	hpa.Spec.MinReplicas = &c.Min
	hpa.Spec.Behavior = c.Behavior
	desired := int32(0)
	size := c.Spec
	switch {
	case c.Spec > c.Max:
		size = c.Max
	case c.Spec < c.Min:
		size = c.Min
	case invalid >= len(c.Metrics) || (invalid > 0 && replicas < c.Spec):
		size = c.Spec
	default:
		if replicas > desired {
			desired = replicas
		}
		if c.Behavior == nil {
			size = a.normalizeDesiredReplicas(hpa, "k", c.Spec, desired, c.Min)
		} else {
			size = a.normalizeDesiredReplicasWithBehaviors(hpa, "k", c.Spec, desired, c.Min)
		}
		for _, k := range hpa.Status.Conditions {
			if k.Type == autoscalingv2.AbleToScale {
				out.AbleReason = k.Reason
			}
			if k.Type == autoscalingv2.ScalingLimited {
				out.LimitReason = k.Reason
				out.Limited = string(k.Status)
			}
		}
	}
	if size != c.Spec {
		a.storeScaleEvent(c.Behavior, "k", c.Spec, size)
	}
	out.Size = size
	for _, r := range a.recommendations["k"] {
		out.Recs = append(out.Recs, r.recommendation)
	}
	for _, r := range a.scaleUpEvents["k"] {
		out.UpN = append(out.UpN, r.replicaChange)
	}
	for _, r := range a.scaleDownEvents["k"] {
		out.DownN = append(out.DownN, r.replicaChange)
	}
	b, _ := json.Marshal(out)
	return b
}

package main

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The shape of the cluster: how its pods are spread.
const (
	replicas        = 30
	namespaces      = 10
	configsEach     = 20
	configSize      = 2048
	maxMessageBytes = 200
)

func nodeName(i int) string      { return fmt.Sprintf("node-%05d", i) }
func namespaceName(i int) string { return fmt.Sprintf("team-%02d", i%namespaces) }
func serviceName(i int) string   { return fmt.Sprintf("service-%03d", i) }
func configName(i int) string    { return fmt.Sprintf("config-%02d", i%configsEach) }

func nodeObject(i int) *corev1.Node {
	name := nodeName(i)
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name,
		Annotations: map[string]string{"node.alpha.kubernetes.io/ttl": "0"},
		Labels: map[string]string{"kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
			"kubernetes.io/arch": "amd64", "node.kubernetes.io/instance-type": "large",
			"topology.kubernetes.io/zone": fmt.Sprintf("zone-%d", i%3)}}}
}

// deploymentObject has a pod template of the size of an ordinary service's.
func deploymentObject(i int) *appsv1.Deployment {
	name := serviceName(i)
	labels := map[string]string{"app": name, "team": namespaceName(i), "tier": "backend"}
	count, share := int32(replicas), intstr.FromString("25%")
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespaceName(i), Labels: labels},
		Spec: appsv1.DeploymentSpec{Replicas: &count,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &share,
					MaxUnavailable: &share}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels,
					Annotations: map[string]string{"load/generation": "0"}},
				Spec: podSpec(name)}},
	}
}

func podSpec(name string) corev1.PodSpec {
	var env []corev1.EnvVar
	for i := range 8 {
		env = append(env, corev1.EnvVar{Name: fmt.Sprintf("SERVICE_SETTING_%d", i),
			Value: fmt.Sprintf("value-%d-of-%s", i, name)})
	}
	probe := &corev1.Probe{PeriodSeconds: 10, ProbeHandler: corev1.ProbeHandler{
		HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}}}
	amounts := corev1.ResourceList{"cpu": resource.MustParse("100m"),
		"memory": resource.MustParse("128Mi")}
	grace := int64(30)
	return corev1.PodSpec{
		TerminationGracePeriodSeconds: &grace,
		Containers: []corev1.Container{{Name: "service", Env: env,
			Image: "registry.invalid/team/" + name + ":v1.0.0",
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
			Resources: corev1.ResourceRequirements{Requests: amounts,
				Limits: amounts},
			ReadinessProbe: probe, LivenessProbe: probe,
			VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/etc/service"}}}},
		Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.
				LocalObjectReference{Name: configName(0)}}}}},
	}
}

func serviceObject(i int) *corev1.Service {
	name := serviceName(i)
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespaceName(i)},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": name},
			Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}}}
}

func configObject(i int) (*corev1.ConfigMap, *corev1.Secret) {
	meta := metav1.ObjectMeta{Name: configName(i), Namespace: namespaceName(i / configsEach)}
	text := strings.Repeat("setting = value\n", configSize/16)
	return &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"service.conf": text}},
		&corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"token": []byte(text[:512])}}
}

// eventObject is one that a kubelet would send about the pod.
func eventObject(pod *corev1.Pod, i int) *corev1.Event {
	now := metav1.Now()
	message := fmt.Sprintf("Readiness probe failed, try %d: %s", i, strings.Repeat("x",
		maxMessageBytes))
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace,
			Name: fmt.Sprintf("%s.%x", pod.Name, now.UnixNano()+int64(i))},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name,
			Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion},
		Reason: "Unhealthy", Type: "Warning", Message: message[:maxMessageBytes],
		Source:         corev1.EventSource{Component: "kubelet", Host: pod.Spec.NodeName},
		FirstTimestamp: now, LastTimestamp: now, Count: 1}
}

package builtin
import ("testing";"fmt";"sort";"k8s.io/client-go/kubernetes/scheme";"k8s.io/apimachinery/pkg/runtime/schema";"reflect";"runtime/debug")
func TestW(t *testing.T){
 var out []string; maxI:=0; n:=0
 for gvk,typ := range scheme.Scheme.AllKnownTypes(){
  v:=reflect.New(typ).Interface()
  if i,ok:=v.(interface{APILifecycleIntroduced()(int,int)});ok{ _,m:=i.APILifecycleIntroduced(); if m>maxI{maxI=m}}
  d,ok:=v.(interface{APILifecycleDeprecated()(int,int)}); 
  r,ok2:=v.(interface{APILifecycleRemoved()(int,int)})
  if !ok&&!ok2 {continue}
  n++
  s:=gvk.String()
  if ok {a,b:=d.APILifecycleDeprecated();s+=fmt.Sprint(" dep ",a,".",b)}
  if ok2 {a,b:=r.APILifecycleRemoved();s+=fmt.Sprint(" rem ",a,".",b)}
  if p,ok:=v.(interface{APILifecycleReplacement() schema.GroupVersionKind});ok {s+=" -> "+p.APILifecycleReplacement().String()}
  out=append(out,s)
 }
 sort.Strings(out); for _,s:=range out{fmt.Println(s)}
 fmt.Println(n,maxI)
 bi,ok:=debug.ReadBuildInfo(); fmt.Println(ok,len(bi.Deps))
 for gv := range map[int]int{}{_=gv}
 var gvs []string; for _,gv:=range scheme.Scheme.PreferredVersionAllGroups(){gvs=append(gvs,gv.String())}; sort.Strings(gvs); fmt.Println(gvs)
}

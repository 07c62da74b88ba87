package api

import (
	"context"
	"net/http"

	"isthmus/gateway"
	"isthmus/openapi"
)

func memberOf(p gateway.Participant) openapi.Member {
	return openapi.Member{
		ID: p.ID, Name: p.Name, Email: p.Email, EmailVerified: p.EmailVerified, Role: openapi.Role(p.Role), Issuer: some(p.Issuer), Subject: some(p.Subject),
		Suspended: p.SuspendedAt != nil, SuspendedAt: p.SuspendedAt, Held: some(p.Held), CreatedAt: p.CreatedAt,
	}
}

// GetMember shows one member.
func (s *Server) GetMember(ctx context.Context, r GetMemberRequestObject) (GetMemberResponseObject, error) {
	p, err := s.people.Member(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return GetMember200JSONResponse(memberOf(p)), nil
}

// UpdateMember suspends or reinstates.
func (s *Server) UpdateMember(ctx context.Context, r UpdateMemberRequestObject) (UpdateMemberResponseObject, error) {
	change := s.people.Reinstate
	if r.Body.Suspended {
		change = s.people.Suspend
	}
	p, err := change(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return UpdateMember200JSONResponse(memberOf(p)), nil
}

// RemoveMember takes over that somebody has left.
func (s *Server) RemoveMember(ctx context.Context, r RemoveMemberRequestObject) (RemoveMemberResponseObject, error) {
	if _, err := s.people.Remove(ctx, actorOf(ctx), r.ID); err != nil {
		return nil, err
	}
	return RemoveMember204Response{}, nil
}

// SuspendMember does so by the names of the identity provider.
func (s *Server) SuspendMember(ctx context.Context, r SuspendMemberRequestObject) (SuspendMemberResponseObject, error) {
	change := s.people.Suspend
	if deref(r.Body.Reason) == openapi.MemberSuspensionReasonLeft {
		change = s.people.Remove
	}
	p, err := s.bySubject(ctx, r.Body.Issuer, r.Body.Subject, change)
	if err != nil {
		return nil, err
	}
	return SuspendMember200JSONResponse(memberOf(p)), nil
}

// ReinstateMember does so by the names of the identity provider.
func (s *Server) ReinstateMember(ctx context.Context, r ReinstateMemberRequestObject) (ReinstateMemberResponseObject, error) {
	p, err := s.bySubject(ctx, r.Body.Issuer, r.Body.Subject, s.people.Reinstate)
	if err != nil {
		return nil, err
	}
	return ReinstateMember200JSONResponse(memberOf(p)), nil
}

func (s *Server) bySubject(ctx context.Context, issuer *string, subject string, change func(context.Context, gateway.Actor, string) (gateway.Participant, error)) (gateway.Participant, error) {
	a := actorOf(ctx)
	id, err := s.people.BySubject(ctx, a, deref(issuer), subject)
	if err != nil {
		return gateway.Participant{}, err
	}
	return change(ctx, a, id)
}

func previewOf(confirm string, lines []gateway.ErasureLine) openapi.ErasurePreview {
	out := openapi.ErasurePreview{Confirm: confirm}
	for _, l := range lines {
		var count *int64
		if l.Count >= 0 {
			count = &l.Count
		}
		out.Items = append(out.Items, struct {
			Count *int64                          `json:"count,omitempty"`
			Fate  openapi.ErasurePreviewItemsFate `json:"fate"`
			Kind  string                          `json:"kind"`
			Text  string                          `json:"text"`
		}{count, openapi.ErasurePreviewItemsFate(l.Fate), l.Kind, l.Text})
	}
	return out
}

func erasureOf(e gateway.Erasure) openapi.Erasure {
	out := openapi.Erasure{
		ID: e.ID, HubID: e.HubID, ParticipantID: e.ParticipantID, State: openapi.ErasureStateRunning, CreatedAt: e.CreatedAt, FinishedAt: e.FinishedAt,
	}
	if e.FinishedAt != nil {
		out.State, out.Deleted = openapi.ErasureStateDone, &e.Done
	}
	return out
}

// confirmText is what has to be typed: see gateway.People.
func confirmText(email, name string) string {
	if email != "" {
		return email
	}
	return name
}

// PreviewErasure shows what erasing a member would do.
func (s *Server) PreviewErasure(ctx context.Context, r PreviewErasureRequestObject) (PreviewErasureResponseObject, error) {
	p, lines, err := s.people.ErasureOf(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return PreviewErasure200JSONResponse(previewOf(confirmText(p.Email, p.Name), lines)), nil
}

// EraseMember begins to erase a member's data.
func (s *Server) EraseMember(ctx context.Context, r EraseMemberRequestObject) (EraseMemberResponseObject, error) {
	e, err := s.people.Erase(ctx, actorOf(ctx), r.ID, r.Body.Confirm)
	if err != nil {
		return nil, err
	}
	return EraseMember202JSONResponse(erasureOf(e)), nil
}

// GetErasure tells how far an erasure is.
func (s *Server) GetErasure(ctx context.Context, r GetErasureRequestObject) (GetErasureResponseObject, error) {
	e, err := s.people.Erasing(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return GetErasure200JSONResponse(erasureOf(e)), nil
}

// PreviewMyErasure shows what erasing one's own data would do.
func (s *Server) PreviewMyErasure(ctx context.Context, _ PreviewMyErasureRequestObject) (PreviewMyErasureResponseObject, error) {
	ses := callerOf(ctx).session
	lines, err := s.people.OwnErasure(ctx, *ses)
	if err != nil {
		return nil, err
	}
	return PreviewMyErasure200JSONResponse(previewOf(confirmText(ses.Email, ses.Name), lines)), nil
}

// EraseMe begins to erase one's own data.
func (s *Server) EraseMe(ctx context.Context, r EraseMeRequestObject) (EraseMeResponseObject, error) {
	all, err := s.people.EraseOwn(ctx, *callerOf(ctx).session, r.Body.Confirm)
	if err != nil {
		return nil, err
	}
	return EraseMe202JSONResponse{Items: each(all, erasureOf)}, nil
}

type exported struct{ attachment }

func (e exported) VisitExportMeResponse(w http.ResponseWriter) error     { return e.write(w) }
func (e exported) VisitExportMemberResponse(w http.ResponseWriter) error { return e.write(w) }

// ExportMe gives a person all that is kept about them.
func (s *Server) ExportMe(ctx context.Context, _ ExportMeRequestObject) (ExportMeResponseObject, error) {
	e, err := s.people.ExportOwn(ctx, *callerOf(ctx).session)
	if err != nil {
		return nil, err
	}
	return exported{attachment{"isthmus-my-data.json", e}}, nil
}

// ExportMember gives an admin all that the hub keeps about a member.
func (s *Server) ExportMember(ctx context.Context, r ExportMemberRequestObject) (ExportMemberResponseObject, error) {
	e, err := s.people.Export(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return exported{attachment{"isthmus-data-of-" + r.ID + ".json", e}}, nil
}

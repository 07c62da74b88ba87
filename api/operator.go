package api

import (
	"context"
	"net/http"
	"time"

	"isthmus/gateway"
	"isthmus/openapi"
)

// operatorOf gives the operator that the route's policy let through.
func operatorOf(ctx context.Context) gateway.Operator {
	op, _ := ctx.Value(operatorKey).(gateway.Operator)
	return op
}

func operatorShown(ctx context.Context, op gateway.Operator) openapi.Operator {
	out := openapi.Operator{ID: op.ID, Issuer: op.Issuer, Subject: op.Subject, Name: op.Name, AddedBy: op.AddedBy, CreatedAt: op.CreatedAt}
	if ses := callerOf(ctx).session; ses != nil && ses.Issuer == op.Issuer && ses.Subject == op.Subject {
		out.You = ptr(true)
	}
	return out
}

const planOfProvider = "provider"

func operatorHubOf(h gateway.Hub) openapi.OperatorHub {
	out := openapi.OperatorHub{
		ID: h.ID, Etag: etag(h.Version), Issuer: h.Issuer, ExternalID: h.ExternalID, Name: h.Name, Plan: openapi.Plan(h.Plan),
		OperatorPlan: planOfProvider, ProviderPlan: some(openapi.Plan(h.ProviderPlan)), AllowsIntegrations: h.Plan.AllowsIntegrations(),
		DowngradedAt: h.DowngradedAt, QuotaBytes: h.QuotaBytes, CreatedAt: h.CreatedAt,
	}
	if h.OperatorPlan != "" {
		out.OperatorPlan = openapi.OperatorPlan(h.OperatorPlan)
	}
	return out
}

func operatorHubResponse(h gateway.Hub) OperatorHubJSONResponse {
	tag := etag(h.Version)
	return OperatorHubJSONResponse{Body: operatorHubOf(h), Headers: OperatorHubResponseHeaders{ETag: &tag}}
}

// decided is the plan that an operator chose, empty when the identity provider is to decide.
func decided(p openapi.OperatorPlan) gateway.Plan {
	if p == planOfProvider {
		return ""
	}
	return gateway.Plan(p)
}

// BeginSetup makes the caller the first operator.
func (s *Server) BeginSetup(ctx context.Context, r BeginSetupRequestObject) (BeginSetupResponseObject, error) {
	ses := callerOf(ctx).session
	if ses == nil {
		return nil, gateway.E(gateway.Forbidden, "not_operator", "Programs cannot become operators.").Next("Sign in on the page and enter the code there.")
	}
	done, err := s.attempts.Begin("setup "+ses.Issuer+" "+ses.Subject, traceOf(ctx).address)
	if err != nil {
		return nil, err
	}
	op, err := s.operators.Begin(ctx, *ses, r.Body.Code)
	done(err == nil)
	if err != nil {
		return nil, err
	}
	return BeginSetup201JSONResponse(operatorShown(ctx, op)), nil
}

// ListOperators lists who runs the installation.
func (s *Server) ListOperators(ctx context.Context, _ ListOperatorsRequestObject) (ListOperatorsResponseObject, error) {
	all, err := s.operators.List(ctx, operatorOf(ctx))
	if err != nil {
		return nil, err
	}
	return ListOperators200JSONResponse{Items: each(all, func(op gateway.Operator) openapi.Operator { return operatorShown(ctx, op) })}, nil
}

// AddOperator names a further operator.
func (s *Server) AddOperator(ctx context.Context, r AddOperatorRequestObject) (AddOperatorResponseObject, error) {
	op, err := s.operators.Add(ctx, operatorOf(ctx), r.Body.Issuer, r.Body.Subject, deref(r.Body.Name))
	if err != nil {
		return nil, err
	}
	return AddOperator201JSONResponse(operatorShown(ctx, op)), nil
}

// RemoveOperator ends somebody's being an operator.
func (s *Server) RemoveOperator(ctx context.Context, r RemoveOperatorRequestObject) (RemoveOperatorResponseObject, error) {
	if err := s.operators.Remove(ctx, operatorOf(ctx), r.ID); err != nil {
		return nil, err
	}
	return RemoveOperator204Response{}, nil
}

// ListOperatorHubs lists all hubs.
func (s *Server) ListOperatorHubs(ctx context.Context, r ListOperatorHubsRequestObject) (ListOperatorHubsResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.hubs.All(ctx, operatorOf(ctx), deref(r.Params.Q), w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(h gateway.Hub) string { return h.ID })
	return ListOperatorHubs200JSONResponse{
		Body:    openapi.OperatorHubPage{Items: each(rows, operatorHubOf), Next: next},
		Headers: ListOperatorHubs200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

// CreateHub makes a hub.
func (s *Server) CreateHub(ctx context.Context, r CreateHubRequestObject) (CreateHubResponseObject, error) {
	keepAnswer(ctx, http.StatusCreated, func(h gateway.Hub) (any, []string) {
		return operatorHubOf(h), []string{"ETag", etag(h.Version), "Location", "/v1/operator/hubs/" + h.ID}
	})
	h, err := s.hubs.Create(ctx, operatorOf(ctx), gateway.NewHub{
		Issuer: r.Body.Issuer, ExternalID: r.Body.ExternalID, Name: r.Body.Name,
		Plan: decided(deref(r.Body.OperatorPlan)), QuotaBytes: deref(r.Body.QuotaBytes),
	})
	if err != nil {
		return nil, err
	}
	tag, at := etag(h.Version), "/v1/operator/hubs/"+h.ID
	return CreateHub201JSONResponse{Body: operatorHubOf(h), Headers: CreateHub201ResponseHeaders{ETag: &tag, Location: &at}}, nil
}

// GetOperatorHub shows one hub.
func (s *Server) GetOperatorHub(ctx context.Context, r GetOperatorHubRequestObject) (GetOperatorHubResponseObject, error) {
	h, err := s.hubs.Terms(ctx, operatorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return GetOperatorHub200JSONResponse{operatorHubResponse(h)}, nil
}

// UpdateOperatorHub changes a hub's plan and quota.
func (s *Server) UpdateOperatorHub(ctx context.Context, r UpdateOperatorHubRequestObject) (UpdateOperatorHubResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	t := gateway.HubTerms{QuotaBytes: r.Body.QuotaBytes}
	if r.Body.OperatorPlan != nil {
		t.Plan = ptr(decided(*r.Body.OperatorPlan))
	}
	h, err := s.hubs.SetTerms(ctx, operatorOf(ctx), r.ID, version, t)
	if err != nil {
		return nil, stale(err)
	}
	return UpdateOperatorHub200JSONResponse{operatorHubResponse(h)}, nil
}

// operatorIn makes the operator act in a hub, or with an empty one in all.
func (s *Server) operatorIn(ctx context.Context, hub string) (gateway.Actor, error) {
	op := operatorOf(ctx)
	if hub == "" {
		return op.Actor(), nil
	}
	return s.operators.ActorIn(ctx, op, hub)
}

// ListOperatorClients lists the apps of one hub or of all.
func (s *Server) ListOperatorClients(ctx context.Context, r ListOperatorClientsRequestObject) (ListOperatorClientsResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	a, err := s.operatorIn(ctx, deref(r.Params.Hub))
	if err != nil {
		return nil, err
	}
	rows, err := s.clients.List(ctx, a, w)
	if err != nil {
		return nil, err
	}
	page := clientPage(rows, w, size)
	return ListOperatorClients200JSONResponse{Body: page, Headers: ListOperatorClients200ResponseHeaders{Link: nextLink(ctx, page.Next)}}, nil
}

// CreateOperatorClient registers an app of one hub or of all.
func (s *Server) CreateOperatorClient(ctx context.Context, r CreateOperatorClientRequestObject) (CreateOperatorClientResponseObject, error) {
	a, err := s.operatorIn(ctx, deref(r.Body.Hub))
	if err != nil {
		return nil, err
	}
	d, err := draftOf(openapi.OAuthClientInput{
		Name: r.Body.Name, RedirectUris: r.Body.RedirectUris, Origins: r.Body.Origins, Scopes: r.Body.Scopes, Jwks: r.Body.Jwks,
	})
	if err != nil {
		return nil, err
	}
	keepAnswer(ctx, http.StatusCreated, clientKept)
	c, secret, err := s.clients.Create(ctx, a, gateway.ClientType(r.Body.Type), d)
	if err != nil {
		return nil, err
	}
	return CreateOperatorClient201JSONResponse{clientSecretResponse(c, secret)}, nil
}

// GetOperatorClient shows an app.
func (s *Server) GetOperatorClient(ctx context.Context, r GetOperatorClientRequestObject) (GetOperatorClientResponseObject, error) {
	c, err := s.clients.Get(ctx, operatorOf(ctx).Actor(), r.ID)
	if err != nil {
		return nil, err
	}
	return GetOperatorClient200JSONResponse{clientResponse(c)}, nil
}

// UpdateOperatorClient changes an app.
func (s *Server) UpdateOperatorClient(ctx context.Context, r UpdateOperatorClientRequestObject) (UpdateOperatorClientResponseObject, error) {
	c, err := s.updateClient(ctx, operatorOf(ctx).Actor(), r.ID, r.Params.IfMatch, *r.Body)
	if err != nil {
		return nil, err
	}
	return UpdateOperatorClient200JSONResponse{clientResponse(c)}, nil
}

// DeleteOperatorClient removes an app.
func (s *Server) DeleteOperatorClient(ctx context.Context, r DeleteOperatorClientRequestObject) (DeleteOperatorClientResponseObject, error) {
	if err := s.clients.Delete(ctx, operatorOf(ctx).Actor(), r.ID); err != nil {
		return nil, err
	}
	return DeleteOperatorClient204Response{}, nil
}

// RotateOperatorClientSecret gives an app another secret.
func (s *Server) RotateOperatorClientSecret(ctx context.Context, r RotateOperatorClientSecretRequestObject) (RotateOperatorClientSecretResponseObject, error) {
	keepAnswer(ctx, http.StatusOK, clientKept)
	c, secret, err := s.clients.RotateSecret(ctx, operatorOf(ctx).Actor(), r.ID, time.Duration(r.Body.OverlapSeconds)*time.Second)
	if err != nil {
		return nil, err
	}
	return RotateOperatorClientSecret200JSONResponse{clientSecretResponse(c, secret)}, nil
}
